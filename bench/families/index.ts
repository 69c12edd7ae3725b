import type { Family } from '../harness.ts'
import { attention } from './attention.ts'
import { conv2d } from './conv2d.ts'
import { ddim } from './ddim.ts'
import { elementwise } from './elementwise.ts'
import { fusion } from './fusion.ts'
import { gridSample } from './grid-sample.ts'
import { half } from './half.ts'
import { indexing } from './indexing.ts'
import { layout } from './layout.ts'
import { matmul } from './matmul.ts'
import { norm } from './norm.ts'
import { optimizer } from './optimizer.ts'
import { pooling } from './pooling.ts'
import { quantize } from './quantize.ts'
import { random } from './random.ts'
import { reduce } from './reduce.ts'
import { softmax } from './softmax.ts'
import { upsample } from './upsample.ts'

/** In the order of the table. */
export const families: readonly Family[] = [
  elementwise,
  fusion,
  reduce,
  matmul,
  conv2d,
  pooling,
  upsample,
  layout,
  half,
  indexing,
  softmax,
  norm,
  attention,
  gridSample,
  quantize,
  ddim,
  optimizer,
  random,
]
