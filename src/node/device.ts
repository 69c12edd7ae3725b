import { rejectUnknownOptions } from '../errors.ts'
import { Device, type DeviceOptions } from '../gpu/index.ts'
import { type AdapterOptions, requestAdapter } from './adapter.ts'
import { housekeeping } from './housekeeping.ts'
import { waitAsleep } from './patience.ts'
import { tuningFolder } from './tuning-folder.ts'

export interface OpenDeviceOptions extends AdapterOptions, DeviceOptions {
  /** Receives the line that says which adapter was chosen. Default: standard error, once a process for each line. */
  log?: (line: string) => void
}

const printed = new Set<string>()

/**
 * Opens a GPU in Node, by the policy of `requestAdapter`. With `tune: 'on'`, what the tuner measures is kept in the
 * user's cache folder.
 * @throws Ld3mError `adapter` if there is none, `option` if an option is unknown
 */
export async function openDevice(options: OpenDeviceOptions = {}): Promise<Device> {
  const known = [
    'adapter',
    'log',
    'description',
    'forceUniforms',
    'withoutSubgroups',
    'withoutHalf',
    'likeHardware',
    'fuse',
    'keepBytes',
    'derivedBytes',
    ...['tune', 'deterministic', 'wait', 'housekeeping'],
  ]
  rejectUnknownOptions('openDevice', options, known)
  const { adapter: choice, log = printOnce, tune, ...deviceOptions } = options
  const { gpu, adapter, kind, description } = await requestAdapter(choice === undefined ? {} : { adapter: choice })
  log(`ld3m-gpu runs on ${description}`)
  return await Device.open(adapter, gpu.wgslLanguageFeatures, {
    description,
    ...(kind === 'hardware' ? {} : { wait: waitAsleep, housekeeping }),
    ...(tune === undefined ? {} : { tune: tune === 'on' ? { store: tuningFolder() } : tune }),
    ...deviceOptions,
  })
}

function printOnce(line: string): void {
  if (printed.has(line)) return
  printed.add(line)
  process.stderr.write(`${line}\n`)
}
