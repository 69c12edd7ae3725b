import { elementwise } from './elementwise.ts'
import { sum } from './sum.ts'
import type { SamplesByOp } from './types.ts'

/** Samples for every op: a missing one does not compile. */
export const samples: SamplesByOp = { ...elementwise, ...sum }
