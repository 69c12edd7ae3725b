import { Ld3mError } from '../errors.ts'

/**
 * On NVIDIA, Dawn hides `shader-f16` and rounds timestamps to 65 µs unless told otherwise; subgroup matrices count as
 * unsafe. A toggle that an adapter does not have is ignored.
 */
const FLAGS = [
  'enable-dawn-features=vulkan_enable_f16_on_nvidia,allow_unsafe_apis',
  'disable-dawn-features=timestamp_quantization',
]

/** The variables by which a Vulkan loader is told which drivers to use: the present name and the one before it. */
const DRIVER_VARIABLES = ['VK_DRIVER_FILES', 'VK_ICD_FILENAMES'] as const

/**
 * Dawn instances by the drivers that they were started with ('' for the system's own choice). Never emptied: the
 * process crashes when an instance is collected.
 */
const instances = new Map<string, GPU>()

/** The driver files that the user's environment prescribes, if any. */
export function prescribedDrivers(): string | undefined {
  return process.env.VK_DRIVER_FILES || process.env.VK_ICD_FILENAMES || undefined
}

/**
 * Asks Dawn for its best adapter.
 * @param drivers Vulkan driver (ICD) files to use instead of what the environment and the system say, joined as in
 *   VK_DRIVER_FILES
 * @returns the GPU object and its adapter, null if there is none
 * @throws Ld3mError `adapter` if the `webgpu` package does not load
 */
export async function requestFromDawn(drivers?: string): Promise<{ gpu: GPU; adapter: GPUAdapter | null }> {
  const create = await loadDawn()
  const saved = DRIVER_VARIABLES.map((name) => process.env[name])
  let gpu: GPU
  let request: Promise<GPUAdapter | null>
  try {
    if (drivers !== undefined) for (const name of DRIVER_VARIABLES) process.env[name] = drivers
    const key = drivers ?? ''
    gpu = instances.get(key) ?? create(FLAGS)
    instances.set(key, gpu)
    // Dawn reads the variables inside this call, before it returns, so nothing else ever sees them changed.
    request = gpu.requestAdapter({ powerPreference: 'high-performance' })
  } finally {
    DRIVER_VARIABLES.forEach((name, i) => {
      if (saved[i] === undefined) delete process.env[name]
      else process.env[name] = saved[i]
    })
  }
  return { gpu, adapter: await request }
}

async function loadDawn(): Promise<(flags: string[]) => GPU> {
  try {
    return (await import('webgpu')).create
  } catch (cause) {
    throw new Ld3mError(
      'adapter',
      `Dawn did not load on ${process.platform} ${process.arch}: ${(cause as Error).message}.`,
      "Check that the package 'webgpu' is installed and supports this system (on Linux: glibc of Debian 12 or newer).",
      { cause },
    )
  }
}
