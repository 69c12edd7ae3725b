import scoresSource from '../../wgsl/attention_scores.wgsl'
import { type Device, defineKernel, type GpuBuffer } from '../gpu/index.ts'
import type { AttentionInputs, AttentionSizes } from './attention-types.ts'
import { type MatmulViews, type MatrixView, matmul } from './matmul.ts'
import { type Team, teamFor, teamOf } from './team.ts'

const scoresKernel = defineKernel('attention_scores', scoresSource)

/** Scores of a block: 2 MiB, which a processor's caches hold, and 32 MiB, whose tiles fill a GPU. */
const BLOCK = { software: 1 << 19, hardware: 1 << 23 } as const

/** Some batch elements with all their queries, or a run of one element's queries. */
interface Block {
  readonly batch: number
  readonly batches: number
  readonly query: number
  readonly queries: number
}

function* blocksOf(device: Device, { batch, queries, keys }: AttentionSizes): Generator<Block> {
  const block = BLOCK[device.info.software ? 'software' : 'hardware']
  const together = Math.max(1, Math.floor(block / (queries * keys)))
  const run = Math.max(16, Math.floor(block / keys / 16) * 16)
  if (queries * keys <= block) {
    for (let b = 0; b < batch; b += together) {
      yield { batch: b, batches: Math.min(together, batch - b), query: 0, queries }
    }
    return
  }
  for (let b = 0; b < batch; b++) {
    for (let query = 0; query < queries; query += run) {
      yield { batch: b, batches: 1, query, queries: Math.min(run, queries - query) }
    }
  }
}

/** Views of a block's part of arrays by query and by key, with rows of `size` elements. */
const viewsOf = (sizes: AttentionSizes, { batch, query }: Block) => ({
  ofQueries: (size: number): MatrixView => ({
    start: (batch * sizes.queries + query) * size,
    stride: sizes.queries * size,
  }),
  ofKeys: (size: number): MatrixView => ({ start: batch * sizes.keys * size, stride: sizes.keys * size }),
})

/** The products of the rows of x with those of y: [batches, rows of x, rows of y], `inner` elements each. */
function productsOf(
  device: Device,
  x: GpuBuffer,
  y: GpuBuffer,
  { batches, queries }: Block,
  keys: number,
  inner: number,
  views: MatmulViews,
): GpuBuffer {
  const sizes = { batches, m: queries, n: keys, k: inner, transposeA: false, transposeB: true }
  return matmul(device, x, y, sizes, {}, { views })
}

/** Vectors of a row above which 64 lanes of a GPU share it: each takes two at least. */
const LONG_ROW = 128

/** The team that shares a row of scores. A block has too few rows to fill a GPU with the lanes of `teamFor`. */
const teamForScores = (device: Device, rows: number, count: number): Team =>
  device.info.software || count < LONG_ROW ? teamFor(device, rows, count) : teamOf(count < 8192 ? 64 : 256, rows)

/** Runs the kernel on a block of scores, in place. */
function onScores(
  device: Device,
  buffers: readonly GpuBuffer[],
  gradient: boolean,
  sizes: AttentionSizes,
  { batch, batches, query, queries }: Block,
  scale: number,
): void {
  const rows = batches * queries
  const width = sizes.keys % 4 === 0 ? 4 : 1
  const { constants, grid } = teamForScores(device, rows, sizes.keys / width)
  const variant = scoresKernel.variant({
    ...constants,
    ...{ GRADIENT: gradient, V: width === 4 ? 'vec4f' : 'f32', WIDTH: width },
  })
  const params = { rows, columns: sizes.keys / width, first: batch * sizes.queries + query, scale }
  const count = rows * sizes.keys
  device.dispatch(variant, buffers, params, grid, { flops: 6 * count, bytes: (gradient ? 16 : 8) * count })
}

/** `attention`, a block of scores at a time. */
export function blockedAttention(
  device: Device,
  q: GpuBuffer,
  k: GpuBuffer,
  v: GpuBuffer,
  sizes: AttentionSizes,
  scale: number,
): { output: GpuBuffer; lse: GpuBuffer } {
  const { batch, queries, keys, depth, width } = sizes
  const lse = device.alloc(batch * queries * 4)
  const output = device.alloc(batch * queries * width * 4)
  for (const block of blocksOf(device, sizes)) {
    const { ofQueries, ofKeys } = viewsOf(sizes, block)
    const scores = productsOf(device, q, k, block, keys, depth, { a: ofQueries(depth), b: ofKeys(depth) })
    onScores(device, [scores, lse], false, sizes, block, scale)
    const outer = { batches: block.batches, m: block.queries, n: width, k: keys, transposeA: false, transposeB: false }
    matmul(device, scores, v, outer, {}, { views: { b: ofKeys(width), out: { buffer: output, ...ofQueries(width) } } })
    device.release(scores)
  }
  return { output, lse }
}

/** A gradient by key, which sums over the queries: block by block, where a batch element has several. */
class KeyGradient {
  readonly buffer: GpuBuffer
  #sum: GpuBuffer | undefined

  constructor(
    readonly device: Device,
    readonly sizes: AttentionSizes,
    readonly width: number,
  ) {
    this.buffer = device.alloc(sizes.batch * sizes.keys * width * 4)
  }

  /** Adds scoresᵀ · x of a block, where x [batch, queries, width] is by query. */
  add(scores: GpuBuffer, x: GpuBuffer, block: Block): void {
    const { device, sizes, width } = this
    const { batches, queries, query, batch } = block
    const { ofQueries, ofKeys } = viewsOf(sizes, block)
    const outer = { batches, m: sizes.keys, n: width, k: queries, transposeA: true, transposeB: false }
    if (queries === sizes.queries) {
      matmul(
        device,
        scores,
        x,
        outer,
        {},
        { views: { b: ofQueries(width), out: { buffer: this.buffer, ...ofKeys(width) } } },
      )
      return
    }
    const before = this.#sum
    this.#sum = matmul(device, scores, x, outer, { residual: before }, { views: { b: ofQueries(width) } })
    if (before) device.release(before)
    if (query + queries < sizes.queries) return
    const bytes = sizes.keys * width * 4
    device.copy(this.#sum, 0, this.buffer, batch * bytes, bytes)
    device.release(this.#sum)
    this.#sum = undefined
  }
}

/** `attentionGrad`, a block of scores at a time, which are computed again. `delta` [batch, queries] is Σ grad · output. */
export function blockedAttentionGrad(
  device: Device,
  { q, k, v, lse, grad }: AttentionInputs,
  delta: GpuBuffer,
  needs: readonly boolean[],
  sizes: AttentionSizes,
  scale: number,
): (GpuBuffer | undefined)[] {
  const { batch, queries, keys, depth, width } = sizes
  const dq = needs[0] ? device.alloc(batch * queries * depth * 4) : undefined
  const dk = needs[1] ? new KeyGradient(device, sizes, depth) : undefined
  const dv = needs[2] ? new KeyGradient(device, sizes, width) : undefined
  for (const block of blocksOf(device, sizes)) {
    const { ofQueries, ofKeys } = viewsOf(sizes, block)
    const scores = productsOf(device, q, k, block, keys, depth, { a: ofQueries(depth), b: ofKeys(depth) })
    const grads = productsOf(device, grad, v, block, keys, width, { a: ofQueries(width), b: ofKeys(width) })
    onScores(device, [scores, lse, delta, grads], true, sizes, block, scale)
    dv?.add(scores, grad, block)
    dk?.add(grads, q, block)
    if (dq) {
      const outer = {
        batches: block.batches,
        m: block.queries,
        n: depth,
        k: keys,
        transposeA: false,
        transposeB: false,
      }
      matmul(device, grads, k, outer, {}, { views: { b: ofKeys(depth), out: { buffer: dq, ...ofQueries(depth) } } })
    }
    device.release(scores)
    device.release(grads)
  }
  return [dq, dk?.buffer, dv?.buffer]
}
