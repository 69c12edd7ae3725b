import source from '../../wgsl/attention.wgsl'
import { type Device, defineKernel, type GpuBuffer, linearGrid } from '../gpu/index.ts'
import { binary } from './elementwise.ts'
import { reduce } from './reduce.ts'

const kernel = defineKernel('attention', source)

/** q: [batch, queries, depth], k: [batch, keys, depth], v: [batch, keys, width]. */
export interface AttentionSizes {
  readonly batch: number
  readonly queries: number
  readonly keys: number
  readonly depth: number
  readonly width: number
}

type Mode = 'FORWARD' | 'DQ' | 'DK' | 'DV'

/** Rows that a workgroup owns: ROWS of the kernel. */
const ROWS = 16

function launch(
  device: Device,
  mode: Mode,
  [rowA, colA, rowB, colB]: readonly [GpuBuffer, GpuBuffer, GpuBuffer, GpuBuffer],
  delta: GpuBuffer,
  lse: GpuBuffer,
  { batch, queries, keys, depth, width }: AttentionSizes,
  scale: number,
): GpuBuffer {
  const [rows, columns] = mode === 'FORWARD' || mode === 'DQ' ? [queries, keys] : [keys, queries]
  const outWidth = mode === 'FORWARD' || mode === 'DV' ? width : depth
  const lanes = outWidth <= 16 ? 16 : outWidth <= 32 ? 32 : 64
  const span = outWidth <= 64 ? 1 : outWidth <= 128 ? 2 : 4
  const rowTiles = Math.ceil(rows / ROWS)
  const parts = Math.ceil(outWidth / (lanes * span))
  const workgroups = batch * rowTiles * parts
  const out = device.alloc(batch * rows * outWidth * 4)
  const inner = mode === 'FORWARD' || mode === 'DV' ? depth : depth + width
  const flops = 2 * batch * rows * columns * (inner * parts + outWidth)
  const bytes = 4 * batch * (rows * (inner + outWidth) + columns * (depth + width))
  const params = {
    workgroups,
    row_tiles: rowTiles,
    parts,
    rows,
    columns,
    depth,
    width,
    out_width: outWidth,
    scale,
  }
  device.dispatch(
    kernel.variant({ MODE: mode, LANES: lanes, SPAN: span }),
    [rowA, colA, rowB, colB, delta, lse, out],
    params,
    linearGrid(workgroups, 1),
    { flops, bytes },
  )
  return out
}

/** softmax(scale·q·kᵀ)·v: [batch, queries, width], and the log of each query's sum of exponentials: [batch, queries]. */
export function attention(
  device: Device,
  q: GpuBuffer,
  k: GpuBuffer,
  v: GpuBuffer,
  sizes: AttentionSizes,
  scale: number,
): { output: GpuBuffer; lse: GpuBuffer } {
  const lse = device.alloc(sizes.batch * sizes.queries * 4)
  return { output: launch(device, 'FORWARD', [q, k, q, v], q, lse, sizes, scale), lse }
}

/** The gradients with respect to q, k and v, each if needed. */
export function attentionGrad(
  device: Device,
  inputs: { q: GpuBuffer; k: GpuBuffer; v: GpuBuffer; output: GpuBuffer; lse: GpuBuffer; grad: GpuBuffer },
  needs: readonly boolean[],
  sizes: AttentionSizes,
  scale: number,
): (GpuBuffer | undefined)[] {
  const { q, k, v, output, lse, grad } = inputs
  const { batch, queries, width } = sizes
  const shape = [batch, queries, width]
  const product = binary(device, 'MUL', grad, shape, output, shape, shape)
  const delta = reduce(device, 'SUM', product, batch * queries, width, 1)
  device.release(product)
  const gradients = [
    needs[0] ? launch(device, 'DQ', [q, k, grad, v], delta, lse, sizes, scale) : undefined,
    needs[1] ? launch(device, 'DK', [k, q, v, grad], delta, lse, sizes, scale) : undefined,
    needs[2] ? launch(device, 'DV', [k, q, v, grad], delta, lse, sizes, scale) : undefined,
  ]
  device.release(delta)
  return gradients
}
