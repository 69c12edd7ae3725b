import { attention } from './attention.ts'
import { conv } from './conv.ts'
import { ddim } from './ddim.ts'
import { elementwise } from './elementwise.ts'
import { gridSample } from './grid-sample.ts'
import { half } from './half.ts'
import { indexing } from './indexing.ts'
import { layout } from './layout.ts'
import { loss } from './loss.ts'
import { matmul } from './matmul.ts'
import { max } from './max.ts'
import { norm } from './norm.ts'
import { pool } from './pool.ts'
import { quantize } from './quantize.ts'
import { softmax } from './softmax.ts'
import { sum } from './sum.ts'
import type { SamplesByOp } from './types.ts'

/** Samples for every op: a missing one does not compile. */
export const samples: SamplesByOp = {
  ...attention,
  ...conv,
  ...elementwise,
  ...half,
  ...indexing,
  ...layout,
  ...loss,
  ...matmul,
  ...max,
  ...norm,
  ...pool,
  ...softmax,
  ...sum,
  ...ddim,
  ...quantize,
  ...gridSample,
}
