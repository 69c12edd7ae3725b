import padSource from '../../wgsl/gemm_pad.wgsl'
import source from '../../wgsl/matmul.wgsl'
import { type Device, defineKernel, foldedGrid, type GpuBuffer, loopGrid, MOST_GROUPS } from '../gpu/index.ts'
import { epilogueBits, epilogueConstants, type GemmEpilogue, join, NO_EPILOGUE } from './gemm.ts'
import { bytesEach, dtypesOf, type Halves, halved } from './half.ts'
import { bits, bytes, NumberedVariants } from './numbered.ts'
import { type Extent, groupsOf, splitsFor, type Tile, tileConstants, tileFor, tileKey, usualGroups } from './tile.ts'
import { classOf, partsToTime, tileCandidates } from './tuned.ts'

const kernel = defineKernel('matmul', source)
const variants = new NumberedVariants(kernel)
const padKernel = defineKernel('gemm_pad', padSource)

/** Sizes of a batched product [batches, m, k] · [batches, k, n]. */
export interface MatmulSizes {
  readonly batches: number
  readonly m: number
  readonly n: number
  readonly k: number
  /** `a` is stored [batches, k, m]. */
  readonly transposeA: boolean
  /** `b` is stored [batches, n, k]. */
  readonly transposeB: boolean
}

/** Matrices of one size in a buffer: where the first begins and how far apart they lie, in elements. */
export interface MatrixView {
  readonly start: number
  readonly stride: number
}

/** Parts of larger buffers that a product reads, and one that it writes to instead of a new buffer. */
export interface MatmulViews {
  readonly a?: MatrixView
  readonly b?: MatrixView
  readonly out?: MatrixView & { readonly buffer: GpuBuffer }
}

/** How the operands lie and what their elements are. */
export interface MatmulOperands {
  readonly views?: MatmulViews
  readonly halves?: Halves
}

/** Elements of K in a step of the kernel. */
const STEP = 4
/** Elements of K that make a part worth its partial sums: on a GPU, which waits long for each, and on a software adapter. */
const LEAST_PART = { hardware: 128, software: 256 } as const
/** Rows of a that the tuner times at least. */
const LEAST_ROWS = 64
/**
 * out [batches, m, n] = activation(a · b + bias [n] + residual) for each batch.
 * FLOPs: 2·batches·m·n·k; bytes: both inputs and the output. `halves` tells of a and b.
 */
export function matmul(
  device: Device,
  a: GpuBuffer,
  b: GpuBuffer,
  sizes: MatmulSizes,
  epilogue: GemmEpilogue = {},
  { views = {}, halves = {} }: MatmulOperands = {},
): GpuBuffer {
  const { n, k } = sizes
  const extent = extentOf(device, sizes)
  const base = tileFor(device, extent)
  if (device.tuner.idle) return matmulBy(device, base, a, b, sizes, epilogue, { views, halves })
  const own = timed(device, sizes)
  const { batches, transposeA, transposeB } = own
  const shape = `${dtypesOf(halves)} ${transposeA ? 'aᵀ' : 'a'}·${transposeB ? 'bᵀ' : 'b'} ${classOf(batches, own.m, n, k)}`
  const tile = device.tuner.choose(kernel, shape, base, workOf(sizes).flops, () => ({
    candidates: tileCandidates(device, base, extent),
    inputs: [bytesEach(halves.left) * batches * own.m * k, bytesEach(halves.right) * batches * k * n],
    launch: ([a, b], tile) => matmulBy(device, tile, a as GpuBuffer, b as GpuBuffer, own, {}, { halves }),
  }))
  return matmulBy(device, tile, a, b, sizes, epilogue, { views, halves })
}

/** A fused multiply-add for every element and step of K; each array read or written once. */
const workOf = ({ batches, m, n, k }: MatmulSizes, halves: Halves = {}) => ({
  flops: 2 * batches * m * n * k,
  bytes: batches * (bytesEach(halves.left) * m * k + bytesEach(halves.right) * k * n + 4 * m * n),
})

/**
 * Whether the core's rows are b's columns. They go to neighbouring lanes; those of b's columns write neighbouring
 * elements, unless there are too few: up to 32 are the columns of a tile in a GPU's workgroup memory, which as rows would
 * fill none.
 */
const isSwapped = (device: Device, { m, n }: MatmulSizes): boolean => n >= (device.info.software ? 32 : 33) || n >= m

/** The product in the core's terms. */
const extentOf = (device: Device, sizes: MatmulSizes): Extent => {
  const { batches, m, n, k } = sizes
  return isSwapped(device, sizes)
    ? { batches, rows: n, columns: m, inner: k }
    : { batches, rows: m, columns: n, inner: k }
}

/** The product that the tuner times: fewer batches, and fewer rows of a if one batch is too much. */
function timed(device: Device, sizes: MatmulSizes): MatmulSizes {
  const batches = partsToTime(device, sizes.batches, workOf({ ...sizes, batches: 1 }))
  // As many as keep the core's rows and columns as they are.
  const blocks = Math.floor(sizes.m / LEAST_ROWS)
  if (batches > 1 || blocks <= 1 || isSwapped(device, sizes) !== isSwapped(device, { ...sizes, m: LEAST_ROWS }))
    return { ...sizes, batches }
  const m = LEAST_ROWS * partsToTime(device, blocks, workOf({ ...sizes, batches, m: LEAST_ROWS }))
  return { ...sizes, batches, m: m === LEAST_ROWS * blocks ? sizes.m : m }
}

/** The same by a given tile; the result has the same bits for each. */
function matmulBy(
  device: Device,
  tile: Tile,
  a: GpuBuffer,
  b: GpuBuffer,
  sizes: MatmulSizes,
  epilogue: GemmEpilogue,
  { views = {}, halves = {} }: MatmulOperands,
): GpuBuffer {
  const { batches, m, n, k, transposeA, transposeB } = sizes
  const swapped = isSwapped(device, sizes)
  const extent = extentOf(device, sizes)
  const { rows, columns } = extent
  const [transposeLeft, transposeRight] = swapped ? [!transposeB, !transposeA] : [transposeA, transposeB]
  // An empty sum is zero: a step of zeros.
  const padded = Math.max(STEP, up(k))
  const viewA = views.a ?? { start: 0, stride: m * k }
  const viewB = views.b ?? { start: 0, stride: k * n }
  const [leftX, rightX] = swapped ? [b, a] : [a, b]
  const [halfLeft, halfRight] = swapped ? [halves.right, halves.left] : [halves.left, halves.right]
  const [leftView, rightView] = swapped ? [viewB, viewA] : [viewA, viewB]
  const leftSize = transposeLeft ? ([k, rows] as const) : ([rows, k] as const)
  const rightSize = transposeRight ? ([columns, k] as const) : ([k, columns] as const)
  const left = operand(device, leftX, leftView, batches, leftSize, transposeLeft, halfLeft)
  const right = operand(device, rightX, rightView, batches, rightSize, !transposeRight, halfRight)
  const count = batches * m * n
  const [groups, blocks] = groupsOf(tile, rows / 4, columns)
  const least = LEAST_PART[device.info.software ? 'software' : 'hardware']
  const wanted = isJoinable(device, sizes, views)
    ? splitsFor(device, usualGroups(device, extent), padded, least, 4 * count)
    : 1
  const part = up(padded / wanted)
  const parts = Math.ceil(padded / part)
  const into = parts === 1 ? views.out : undefined
  const out = into?.buffer ?? device.alloc(Math.max(4, parts * count * 4))
  const ownEpilogue = parts === 1 ? epilogue : NO_EPILOGUE
  const { bias, residual } = ownEpilogue
  const four = n % 4 === 0
  const { grid, folded } = foldedGrid(groups, blocks * parts)
  const layout = bits(transposeLeft, transposeRight, swapped, halfLeft, halfRight, four, folded)
  const variant = variants.get(tileKey(tile), bytes(layout, epilogueBits(ownEpilogue)), () => {
    const { Chunk, ...constants } = tileConstants(tile)
    const fours = transposeRight || !constants.BROADCAST
    const B = fours ? 'vec4f' : Chunk
    return {
      ...constants,
      ...{ TRANSPOSE_A: transposeLeft, TRANSPOSE_B: transposeRight, ROWS_INNERMOST: swapped },
      ...{ B, WIDTH_B: fours ? 4 : constants.EACH, Loaded: constants.Values },
      ...halved({ A: halfLeft && 'vec4f', B: halfRight && B, Loaded: halfRight && constants.Values }),
      ...{ FOUR: four, FOLDED: folded, ...epilogueConstants(ownEpilogue) },
    }
  })
  // Without spreads: these take 4 µs a launch.
  const params = {
    batches,
    rows,
    columns,
    k: padded,
    width_a: left.width,
    width_b: right.width,
    parts,
    part,
    start_a: left.view.start,
    start_b: right.view.start,
    start_out: into?.start ?? 0,
    stride_a: left.view.stride,
    stride_b: right.view.stride,
    stride_out: into?.stride ?? m * n,
    groups,
  }
  device.dispatch(
    variant,
    [left.buffer, right.buffer, bias ?? left.buffer, residual ?? left.buffer, out],
    params,
    // The kernel loops over the batches beyond.
    [...grid, Math.min(batches, MOST_GROUPS)],
    workOf(sizes, halves),
  )
  for (const { buffer, temporary } of [left, right]) if (temporary) device.release(buffer)
  return parts === 1 ? out : join(device, out, { splits: parts, count, biases: n, into: views.out }, epilogue)
}

/** Whether parts of a product may be added up: into a new buffer always, into a view on a GPU, if it has no gaps. */
const isJoinable = ({ info }: Device, { batches, m, n }: MatmulSizes, { out }: MatmulViews): boolean =>
  !out || (!info.software && (batches === 1 || out.stride === m * n))

/** The next multiple of a step. */
const up = (size: number): number => Math.ceil(size / STEP) * STEP

/** An operand [batches, rows, columns] as the kernel reads it, padded where it must be: K lies along rows or columns. */
function operand(
  device: Device,
  x: GpuBuffer,
  view: MatrixView,
  batches: number,
  [rows, columns]: readonly [number, number],
  alongRows: boolean,
  half: boolean | undefined,
): { buffer: GpuBuffer; view: MatrixView; width: number; temporary: boolean } {
  const tall = alongRows ? Math.max(STEP, up(rows)) : rows
  const wide = Math.max(STEP, up(columns))
  const aligned = view.start % STEP === 0 && view.stride % STEP === 0
  if (tall === rows && wide === columns && aligned) return { buffer: x, view, width: wide, temporary: false }
  const count = batches * tall * wide
  const buffer = device.alloc(Math.max(4, count * bytesEach(half)))
  const params = { count: count / 4, rows, columns, tall, wide: wide / 4, ...view }
  const work = { flops: 0, bytes: bytesEach(half) * (batches * rows * columns + count) }
  device.dispatch(
    padKernel.variant(halved({ Element: half && 'f32', Values: half && 'vec4f' })),
    [x, buffer],
    params,
    loopGrid(device, count / 4, 64),
    work,
  )
  return { buffer, view: { start: 0, stride: tall * wide }, width: wide, temporary: true }
}
