import { create } from 'webgpu'
import { Device, type DeviceOptions } from '../../src/gpu/index.ts'

/** Referenced for ever: the process crashes when Dawn's object is collected. */
let gpu: GPU | undefined

/**
 * A device on Dawn's null backend, which checks and encodes commands and runs none: what is left is the time of the CPU.
 * Kernels are chosen as for a GPU. Nothing can be read back from it.
 */
export async function openNullDevice(options: DeviceOptions = {}): Promise<Device> {
  gpu ??= create(['backend=null'])
  const adapter = await gpu.requestAdapter()
  if (!adapter) throw new Error("Dawn's null backend gave no adapter")
  return await Device.open(adapter, gpu.wgslLanguageFeatures, { description: "Dawn's null backend", ...options })
}
