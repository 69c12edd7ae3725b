import source from '../../wgsl/attention.wgsl'
import { type Device, defineKernel, type GpuBuffer, linearGrid } from '../gpu/index.ts'
import type { AttentionInputs, AttentionSizes } from './attention-types.ts'

const kernel = defineKernel('attention', source)

type Mode = 'FORWARD' | 'DQ' | 'DK' | 'DV'

/** Rows that a workgroup owns: ROWS of the kernel. */
const ROWS = 16
/** Columns that it holds weights of, and so walks at most: COLUMNS of the kernel. */
export const FUSED_COLUMNS = 32

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
    ...{ workgroups, row_tiles: rowTiles, parts, rows, columns, depth, width },
    ...{ out_width: outWidth, scale },
  }
  device.dispatch(
    kernel.variant({ MODE: mode, GRADIENT: mode !== 'FORWARD', LANES: lanes, SPAN: span }),
    [rowA, colA, rowB, colB, delta, lse, out],
    params,
    linearGrid(workgroups, 1),
    { flops, bytes },
  )
  return out
}

/** `attention` of up to FUSED_COLUMNS keys, in one kernel. */
export function fusedAttention(
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

/** `attentionGrad` of up to FUSED_COLUMNS keys and as many queries, in one kernel each. */
export function fusedAttentionGrad(
  device: Device,
  { q, k, v, lse, grad }: AttentionInputs,
  delta: GpuBuffer,
  needs: readonly boolean[],
  sizes: AttentionSizes,
  scale: number,
): (GpuBuffer | undefined)[] {
  return [
    needs[0] ? launch(device, 'DQ', [q, k, grad, v], delta, lse, sizes, scale) : undefined,
    needs[1] ? launch(device, 'DK', [k, q, v, grad], delta, lse, sizes, scale) : undefined,
    needs[2] ? launch(device, 'DV', [k, q, v, grad], delta, lse, sizes, scale) : undefined,
  ]
}
