import type fc from 'fast-check'
import type { OpName, registry } from '../../src/autograd/index.ts'
import type { NdArray } from '../support/ndarray.ts'

/** Attributes of an op of the registry. */
export type AttrsOf<K extends OpName> = Parameters<(typeof registry)[K]['apply']>[1]

/** How to draw an input. */
export interface InputSpec {
  readonly shape: readonly number[]
  /** Values are uniform in [low, high). Default −2, 2. For dtype i32: integers in it; f16: exact. */
  readonly low?: number
  readonly high?: number
  readonly dtype?: 'f32' | 'i32' | 'f16'
  /** Kinks: values nearer than 0.05 to one of these are moved away. */
  readonly avoid?: readonly number[]
  /** All elements at least 0.05 apart, for functions that pick by order (max). */
  readonly distinct?: boolean
  /** False for an input with no gradient (or that gradients are not to be checked for). Default true for f32. */
  readonly differentiable?: boolean
}

export interface Case<A> {
  readonly inputs: readonly InputSpec[]
  readonly attrs: A
}

/** All that the generated tests need to know of an op. */
export interface Samples<A> {
  /** Small cases (a few hundred elements at most) over shapes and attributes, odd sizes and edge cases among them. */
  readonly cases: fc.Arbitrary<Case<A>>
  /** A plain float64 implementation. i32 inputs come as integers in float64. */
  reference(inputs: readonly NdArray[], attrs: A): NdArray
  /** Relative tolerance of the forward pass, against the largest magnitude of the output. Default 1e-5. */
  readonly tolerance?: number
  /** Relative tolerance of first and second gradients. Default 2e-4. */
  readonly gradTolerance?: number
  /**
   * Highest order checked: 2, unless the op is made of pieces whose kinks a finite difference cannot keep away from
   * (say why beside it).
   */
  readonly order?: 0 | 1 | 2
  /** A feature of the adapter; where it is missing, the op says so. */
  readonly needs?: 'shader-f16'
}

export type SamplesByOp = { readonly [K in OpName]: Samples<AttrsOf<K>> }
