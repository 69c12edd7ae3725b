import type { Device } from '../gpu/index.ts'

/**
 * Whether the bodies of inner loops are to be repeated in the kernel's text. SwiftShader (subgroups of four) keeps
 * whatever a loop changes in memory, so that a convolution with its nine taps in one step takes a third of the time;
 * lavapipe and drivers of GPUs keep registers, and compile longer for nothing.
 */
export const unrolls = (device: Device): boolean => device.info.software && device.info.subgroupSize === 4
