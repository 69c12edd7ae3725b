import * as arithmetic from './arithmetic.ts'
import * as attention from './attention.ts'
import * as compare from './compare.ts'
import * as conv from './conv.ts'
import * as ddim from './ddim.ts'
import * as gridSample from './grid-sample.ts'
import * as half from './half.ts'
import * as indexing from './indexing.ts'
import * as layout from './layout.ts'
import * as loss from './loss.ts'
import * as matmul from './matmul.ts'
import * as max from './max.ts'
import * as norm from './norm.ts'
import * as pool from './pool.ts'
import * as quantize from './quantize.ts'
import * as select from './select.ts'
import * as softmax from './softmax.ts'
import * as sum from './sum.ts'
import * as unary from './unary.ts'

/** The op records among a module's exports. */
type OpsOf<M> = { [K in keyof M as K extends `${infer N}Op` ? N : never]: M[K] }

function opsOf<M extends object>(module: M): OpsOf<M> {
  const entries = Object.entries(module).flatMap(([key, value]) =>
    key.endsWith('Op') ? [[key.slice(0, -2), value] as const] : [],
  )
  return Object.fromEntries(entries) as OpsOf<M>
}

/**
 * Every op by name. The gradient tests, the bench's rows and the op table of the docs are generated from it; a record
 * without samples in test/samples does not compile.
 */
export const registry = {
  ...opsOf(arithmetic),
  ...opsOf(attention),
  ...opsOf(compare),
  ...opsOf(conv),
  ...opsOf(ddim),
  ...opsOf(gridSample),
  ...opsOf(half),
  ...opsOf(indexing),
  ...opsOf(layout),
  ...opsOf(loss),
  ...opsOf(matmul),
  ...opsOf(max),
  ...opsOf(norm),
  ...opsOf(pool),
  ...opsOf(quantize),
  ...opsOf(select),
  ...opsOf(softmax),
  ...opsOf(sum),
  ...opsOf(unary),
}

export type OpName = keyof typeof registry
