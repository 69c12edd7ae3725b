import { conv } from './conv.ts'
import { elementwise } from './elementwise.ts'
import { layout } from './layout.ts'
import { matmul } from './matmul.ts'
import { pool } from './pool.ts'
import { norm } from './norm.ts'
import { sum } from './sum.ts'
import type { SamplesByOp } from './types.ts'

/** Samples for every op: a missing one does not compile. */
export const samples: SamplesByOp = { ...conv, ...elementwise, ...layout, ...matmul, ...pool, ...norm, ...sum }
