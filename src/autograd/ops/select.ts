import * as kernels from '../../kernels/index.ts'
import { defineOp } from '../op.ts'
import { broadcastShapes, type Shape } from '../shape.ts'
import type { Tensor } from '../tensor.ts'
import { zeros } from '../tensor.ts'
import { sumTo } from './sum.ts'

export const selectOp = defineOp<Record<never, never>>({
  name: 'select',
  shape: (inputs) => broadcastShapes('select', ...inputs.map((t) => t.shape)),
  forward: (device, [c, a, b], _, shape) => {
    const [condition, yes, no] = [c as Tensor, a as Tensor, b as Tensor]
    return kernels.select(device, condition.buffer, condition.shape, yes.buffer, yes.shape, no.buffer, no.shape, shape)
  },
  saves: [0],
  vjp: ({ grad, input, needs, shapes }) => {
    const condition = input(0)
    const zero = zeros(grad.device, [])
    return [
      needs[0] ? zeros(grad.device, shapes[0] as Shape) : undefined,
      needs[1] ? sumTo(select(condition, grad, zero), shapes[1] as Shape) : undefined,
      needs[2] ? sumTo(select(condition, zero, grad), shapes[2] as Shape) : undefined,
    ]
  },
})

/** Where `condition` is not 0, a, else b; elementwise with broadcasting. The condition's gradient is 0. */
export const select = (condition: Tensor, a: Tensor, b: Tensor): Tensor => selectOp.apply([condition, a, b], {})
