import * as kernels from '../../src/kernels/index.ts'
import { family, floats, halves, row, rowsFor } from '../harness.ts'

const SIZES = { full: [65_536, 4_194_304], quick: [70] } as const

const conversions = rowsFor<number>(SIZES, (count) => [
  row('cast f32 to f16', `${count}`, { x: floats(count) }, (device, { x }) => kernels.cast(device, x, count, true)),
  row('cast f16 to f32', `${count}`, { x: halves(count) }, (device, { x }) => kernels.cast(device, x, count, false)),
])

export const half = family('half', conversions)
