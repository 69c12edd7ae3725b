import { formatValue, optionError } from '../../errors.ts'
import type { Device } from '../../gpu/index.ts'
import * as kernels from '../../kernels/index.ts'
import { expectDevice } from '../arguments.ts'
import { checkShape, type Shape, sizeOf } from '../shape.ts'
import { Storage } from '../storage.ts'
import { Tensor } from '../tensor.ts'

/** A tensor of one value. */
export function fill(device: Device, shape: Shape, value: number): Tensor {
  expectDevice('fill', device)
  checkShape('fill', shape)
  if (typeof value !== 'number') throw optionError(`fill: value is ${formatValue(value)}.`, 'Pass a number.')
  return new Tensor(new Storage(device, kernels.fill(device, sizeOf(shape), value)), shape)
}
