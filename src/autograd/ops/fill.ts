import type { Device } from '../../gpu/index.ts'
import * as kernels from '../../kernels/index.ts'
import { type Shape, sizeOf } from '../shape.ts'
import { Storage } from '../storage.ts'
import { Tensor } from '../tensor.ts'

/** A tensor of one value. */
export const fill = (device: Device, shape: Shape, value: number): Tensor =>
  new Tensor(new Storage(device, kernels.fill(device, sizeOf(shape), value)), shape)
