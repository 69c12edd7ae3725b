import type { Device } from '../gpu/index.ts'

/** Lanes that share what a tiled kernel hands round in a subgroup; undefined where there are none and it cannot run. */
export function lanesOf(device: Device): 4 | 8 | undefined {
  const { subgroupSize } = device.info
  return subgroupSize >= 8 ? 8 : subgroupSize >= 4 ? 4 : undefined
}

/**
 * Invocations of a workgroup that covers part of `units`, one each. On software adapters one subgroup, where larger
 * ones would leave many idle.
 */
export const sizeFor = (device: Device, units: number, lanes: 4 | 8): number =>
  device.info.software && units < 4096 ? lanes : 64

/**
 * Whether the bodies of inner loops are to be repeated in the kernel's text. SwiftShader (subgroups of four) keeps
 * whatever a loop changes in memory, so that a convolution with its nine taps in one step takes a third of the time;
 * lavapipe and drivers of GPUs keep registers, and compile longer for nothing.
 */
export const unrolls = (device: Device): boolean => device.info.software && device.info.subgroupSize === 4
