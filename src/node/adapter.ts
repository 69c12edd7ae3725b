import { delimiter } from 'node:path'
import { isMainThread } from 'node:worker_threads'
import { Ld3mError, optionError, rejectUnknownOptions } from '../errors.ts'
import { prescribedDrivers, requestFromDawn } from './dawn.ts'
import { type AdapterKind, describeAdapter, kindOf, mesaVersion, OLDEST_MESA } from './kinds.ts'
import { findLavapipe } from './lavapipe.ts'
import { prepareSwiftShader } from './swiftshader.ts'

/** Which adapter to use; 'auto' is the first of hardware, lavapipe and SwiftShader that works. */
export type AdapterChoice = 'auto' | AdapterKind

export interface AdapterOptions {
  /** Default: the environment variable LD3M_ADAPTER, else 'auto'. */
  adapter?: AdapterChoice
}

/** An adapter and where it came from. */
export interface NodeAdapter {
  /** Dawn's `navigator.gpu`; tells the WGSL language features. */
  gpu: GPU
  adapter: GPUAdapter
  kind: AdapterKind
  /** One line for people, such as "lavapipe (llvmpipe, Mesa 25.0.7), software". */
  description: string
}

type Found = { gpu: GPU; adapter: GPUAdapter | null }

const POLICY: readonly AdapterKind[] = ['hardware', 'lavapipe', 'swiftshader']

const REQUESTS: Record<AdapterKind, () => Promise<Found>> = {
  hardware: () => requestFromDawn(),
  lavapipe: requestLavapipe,
  swiftshader: async () => requestFromDawn(await prepareSwiftShader()),
}

/**
 * Finds an adapter in Node: hardware, then Mesa's lavapipe (25 or newer), then SwiftShader, or exactly the one asked
 * for. The variables VK_DRIVER_FILES and VK_ICD_FILENAMES, where set, say which drivers there are to find (SwiftShader
 * brings its own).
 * @throws Ld3mError `option` if the choice is unknown; `adapter` if there is none, with what was tried and why not
 */
export async function requestAdapter(options: AdapterOptions = {}): Promise<NodeAdapter> {
  rejectUnknownOptions('requestAdapter', options, ['adapter'])
  const choice = readChoice(options.adapter)
  const failures: string[] = []
  for (const wanted of choice === 'auto' ? POLICY : [choice]) {
    try {
      const { gpu, adapter } = await REQUESTS[wanted]()
      if (adapter === null) {
        failures.push(`${wanted}: ${noAdapter(wanted)}`)
        continue
      }
      const kind = kindOf(adapter.info)
      const reason = refusal(adapter.info, kind, choice)
      if (kind !== undefined && reason === undefined) {
        return { gpu, adapter, kind, description: describeAdapter(adapter.info) }
      }
      failures.push(`${wanted}: ${reason}`)
    } catch (error) {
      if (!(error instanceof Ld3mError)) throw error
      failures.push(`${wanted}: ${error.message}`)
    }
  }
  const which = choice === 'auto' ? 'GPU adapter' : `adapter of the kind '${choice}'`
  throw new Ld3mError(
    'adapter',
    `Found no usable ${which}. Tried:\n${failures.map((failure) => `  ${failure}\n`).join('')}`,
    adviceFor(choice),
  )
}

const DRIVER =
  'Install a GPU driver with Vulkan (on a server without a display also libvulkan1, libegl1 and libgl1; VK_DRIVER_FILES ' +
  'names a driver file)'
const MESA = 'the package mesa-vulkan-drivers of Mesa 25 or newer (on Debian 12 it is in bookworm-backports)'
const CHROMIUM = 'on Linux x64, the npm package @sparticuz/chromium, which needs neither GPU nor root'

/** How to get an adapter of the kind that was asked for. */
function adviceFor(choice: AdapterChoice): string {
  switch (choice) {
    case 'hardware':
      return `${DRIVER}, or leave the choice out: without a GPU a software adapter is taken.`
    case 'lavapipe':
      return `Install ${MESA}.`
    case 'swiftshader':
      return `Install, ${CHROMIUM}.`
    case 'auto':
      return `${DRIVER}; or ${MESA}; or, ${CHROMIUM}.`
  }
}

function readChoice(option: AdapterChoice | undefined): AdapterChoice {
  const choice = option ?? (process.env.LD3M_ADAPTER || 'auto')
  if (choice === 'auto' || POLICY.some((kind) => kind === choice)) return choice as AdapterChoice
  const where = option === undefined ? 'LD3M_ADAPTER' : "requestAdapter: 'adapter'"
  throw optionError(`${where} is '${choice}'.`, `Use auto, ${POLICY.join(', ')}.`)
}

async function requestLavapipe(): Promise<Found> {
  if (prescribedDrivers() !== undefined) return await requestFromDawn()
  const drivers = await findLavapipe()
  if (drivers === undefined) {
    throw new Ld3mError('adapter', 'No lavapipe driver file (lvp_icd*.json) is installed.', 'It comes with Mesa.')
  }
  return await requestFromDawn(drivers)
}

function noAdapter(wanted: AdapterKind): string {
  const drivers = prescribedDrivers()
  if (wanted !== 'swiftshader' && drivers !== undefined) {
    return `the drivers that VK_DRIVER_FILES names (${drivers.split(delimiter).join(', ')}) gave no adapter.`
  }
  if (wanted === 'lavapipe') return `lavapipe is installed but gave no adapter, as Mesa before ${OLDEST_MESA} does.`
  return `Dawn found no adapter.${threadNote()}`
}

/** What a worker thread sets in `process.env` does not reach the Vulkan loader. */
function threadNote(): string {
  return isMainThread ? '' : ' In a worker thread only the default adapter can be had; choose on the main thread.'
}

/** Why an adapter that Dawn gave is not to be used, undefined if it is. */
function refusal(info: GPUAdapterInfo, kind: AdapterKind | undefined, choice: AdapterChoice): string | undefined {
  const description = describeAdapter(info)
  if (kind === undefined) return `${description} is not an adapter that this library supports.`
  if (choice !== 'auto' && kind !== choice) return `the adapter found is ${description}.${threadNote()}`
  const mesa = mesaVersion(info)
  if (kind === 'lavapipe' && !(Number.parseInt(mesa ?? '', 10) >= OLDEST_MESA)) {
    return `lavapipe of Mesa ${mesa ?? 'of unknown version'} is too old; ${OLDEST_MESA} is the oldest that works.`
  }
  return undefined
}
