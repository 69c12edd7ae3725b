import process from 'node:process'
import { grad, ops, tensor } from '../autograd/index.ts'
import { Ld3mError } from '../errors.ts'
import { Device } from '../gpu/index.ts'
import { type AdapterKind, formatBytes, type NodeAdapter, requestAdapter } from '../node/index.ts'
import { command } from './arguments.ts'

const KINDS: readonly AdapterKind[] = ['hardware', 'lavapipe', 'swiftshader']

/** Features that kernels use where they exist, and what they are good for. */
const FEATURES: readonly (readonly [feature: string, use: string])[] = [
  ['timestamp-query', 'times each kernel (device.profile, npm run bench)'],
  ['subgroups', 'faster matrix products and convolutions'],
  ['shader-f16', 'half precision'],
]

const IMMEDIATES = ['immediates', 'cheaper dispatches'] as const

const LIMITS: readonly (readonly [limit: string, bytes: boolean])[] = [
  ['maxBufferSize', true],
  ['maxStorageBufferBindingSize', true],
  ['maxComputeWorkgroupStorageSize', true],
  ['maxComputeInvocationsPerWorkgroup', false],
  ['maxComputeWorkgroupsPerDimension', false],
]

export const doctorCommand = command(
  'doctor',
  'Show which adapters there are, what the chosen one can do, and what is missing',
  {},
  async () => {
    const chosen = await requestAdapter()
    say('Adapters')
    for (const kind of KINDS) say(`  ${kind.padEnd(12)} ${await describe(kind, chosen)}`)
    const device = await Device.open(chosen.adapter, chosen.gpu.wgslLanguageFeatures, {
      description: chosen.description,
    })
    try {
      report(device, chosen)
      await check(device)
    } finally {
      device.destroy()
    }
    const advice = adviceFor(chosen)
    if (advice) say(`\nTo do\n  ${advice}`)
  },
)

async function describe(kind: AdapterKind, chosen: NodeAdapter): Promise<string> {
  if (kind === chosen.kind) return `${chosen.description}  ← used`
  try {
    return (await requestAdapter({ adapter: kind })).description
  } catch (error) {
    if (!(error instanceof Ld3mError)) throw error
    // The error lists one line for each kind that was tried.
    const reason = /^ {2}\w+: (.*)$/m.exec(error.message)?.[1]
    return `none: ${reason ?? error.message}`
  }
}

function report(device: Device, { adapter, gpu }: NodeAdapter): void {
  const { vendor, architecture, device: name, description } = adapter.info
  const { features, subgroupSize } = device.info
  const limits = device.handle.limits as unknown as Record<string, number>
  say(`\nDriver\n  ${[vendor, architecture, name, description].filter((text) => text !== '').join(', ')}`)
  say('\nFeatures')
  for (const [feature, use] of FEATURES) {
    const size = feature === 'subgroups' && features.has(feature) ? `, of ${subgroupSize} lanes` : ''
    say(`  ${mark(features.has(feature))} ${feature.padEnd(16)} ${use}${size}`)
  }
  const [immediates, use] = IMMEDIATES
  say(`  ${mark(gpu.wgslLanguageFeatures.has('immediate_address_space'))} ${immediates.padEnd(16)} ${use}`)
  say('\nLimits')
  for (const [limit, bytes] of LIMITS) {
    const value = limits[limit] as number
    say(`  ${limit.padEnd(34)} ${bytes ? formatBytes(value) : value}`)
  }
}

const mark = (there: boolean): string => (there ? '✓' : '–')

/** Takes a second-order gradient: upload, kernels, autograd and reading back all work if it is right. */
async function check(device: Device): Promise<void> {
  const x = tensor(device, [3], { requiresGrad: true })
  const [slope] = grad(ops.mul(ops.square(x), x), [x], { createGraph: true }) as [typeof x]
  const [curvature] = grad(slope, [x]) as [typeof x]
  const value = await curvature.item()
  if (value !== 18) {
    throw new Ld3mError(
      'adapter',
      `The second derivative of x³ at 3 came out as ${value}, not 18.`,
      'Update the driver.',
    )
  }
  say('\nCheck\n  d²(x³)/dx² at 3 = 18: kernels and gradients work')
}

function adviceFor({ kind }: NodeAdapter): string | undefined {
  if (kind === 'hardware') return undefined
  const gpu = 'Kernels run on the CPU. If this machine has a GPU, install its driver with Vulkan support.'
  return kind === 'lavapipe'
    ? gpu
    : `${gpu}\n  Without a GPU, lavapipe is faster than SwiftShader: install mesa-vulkan-drivers of Mesa 25 or newer (on ` +
        'Debian 12 from bookworm-backports).'
}

const say = (text: string): void => {
  process.stdout.write(`${text}\n`)
}
