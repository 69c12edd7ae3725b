import source from '../../wgsl/matmul.wgsl'
import tiledSource from '../../wgsl/matmul_tiled.wgsl'
import { type Device, defineKernel, type GpuBuffer, loopGrid } from '../gpu/index.ts'
import { lanesOf, sizeFor, unrolls } from './tile.ts'

const kernel = defineKernel('matmul', source)
const tiledKernel = defineKernel('matmul_tiled', tiledSource)

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

/**
 * out = a · b for each batch, plus a bias [n] for every row.
 * FLOPs: 2·batches·m·n·k; bytes: both inputs and the output.
 */
export function matmul(device: Device, a: GpuBuffer, b: GpuBuffer, sizes: MatmulSizes, bias?: GpuBuffer): GpuBuffer {
  const { batches, m, n, k, transposeA, transposeB } = sizes
  const count = batches * m * n
  const out = device.alloc(Math.max(4, count * 4))
  const params = {
    count,
    m,
    n,
    k,
    aBatch: m * k,
    aRow: transposeA ? 1 : k,
    aCol: transposeA ? m : 1,
    bBatch: n * k,
    bRow: transposeB ? 1 : n,
    bCol: transposeB ? k : 1,
  }
  const work = { flops: 2 * count * k, bytes: 4 * batches * (m * k + k * n + m * n) }
  const lanes = lanesOf(device)
  // Below four rows the tiled kernel's registers are mostly idle.
  if (lanes && m >= 4 && batches <= 65_535) {
    const size = sizeFor(device, m / 4, lanes)
    const grid = [Math.ceil(m / (4 * size)), Math.ceil(n / 16), batches] as const
    const variant = tiledKernel.variant({
      LANES: lanes,
      SIZE: size,
      BIAS: bias !== undefined,
      STEPS: unrolls(device) ? 4 : 1,
    })
    device.dispatch(variant, [a, b, bias ?? b, out], params, grid, work)
  } else {
    const variant = kernel.variant({ BIAS: bias !== undefined })
    device.dispatch(variant, [a, b, bias ?? b, out], params, loopGrid(device, count, 64), work)
  }
  return out
}
