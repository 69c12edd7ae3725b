import type { BinaryFunction, UnaryFunction } from '../../kernels/index.ts'
import { chain } from '../chain.ts'
import { defineOp, type Op, type OpDefinition, type Vjp } from '../op.ts'
import { broadcastShapes, type Shape } from '../shape.ts'
import type { Tensor } from '../tensor.ts'
import { sumTo } from './sum.ts'

export type NoAttrs = Record<never, never>

/** An elementwise op of one input without attributes. */
export function defineUnary(
  name: string,
  f: UnaryFunction,
  saves: 'input' | 'output' | 'nothing',
  vjp: Vjp<NoAttrs> | { none: string },
): Op<NoAttrs> {
  return defineOp<NoAttrs>({
    name,
    shape: ([x]) => (x as Tensor).shape,
    forward: (device, inputs, _, shape) => chain(device, f, inputs, shape),
    saves: saves === 'input' ? [0] : saves === 'output' ? ['output'] : [],
    vjp,
  })
}

/** An elementwise op of two inputs with broadcasting; `vjp` gives gradients of the output's shape. */
export function defineBinary(
  name: string,
  f: BinaryFunction,
  saves: OpDefinition<NoAttrs>['saves'],
  vjp: Vjp<NoAttrs> | { none: string },
): Op<NoAttrs> {
  return defineOp<NoAttrs>({
    name,
    shape: ([a, b]) => broadcastShapes(name, (a as Tensor).shape, (b as Tensor).shape),
    forward: (device, inputs, _, shape) => chain(device, f, inputs, shape),
    saves,
    vjp: typeof vjp === 'function' ? (c) => vjp(c).map((g, i) => g && sumTo(g, c.shapes[i] as Shape)) : vjp,
  })
}
