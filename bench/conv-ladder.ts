/**
 * Times matmul and the conv2d family at the shapes that distillation uses, by the wall clock (best of several runs of
 * a few launches each). Run with `node --import ./scripts/register.mjs bench/conv-ladder.ts [filter]`.
 */
import type { Device, GpuBuffer } from '../src/gpu/index.ts'
import * as kernels from '../src/kernels/index.ts'
import { openDevice } from '../src/node/index.ts'

/** Name, batch, input channels, size of the square map, output channels; kernel 3 and stride 1 unless given. */
type ConvRow = readonly [name: string, n: number, c: number, size: number, o: number, kernel?: number, stride?: number]

const CONVS: readonly ConvRow[] = [
  ['student layer 1', 64, 1, 32, 32],
  ['student layer 2', 64, 32, 16, 32],
  ['student layer 3', 64, 32, 8, 32],
  ['student layer 2, large batch', 640, 32, 16, 32],
  ['unet 8×8', 16, 32, 8, 32],
  ['unet 8×8 wide', 16, 64, 8, 64],
  ['unet 4×4', 16, 64, 4, 64],
  ['unet 8×8 training', 128, 64, 8, 64],
  ['unet 8×8 downsampling', 128, 32, 8, 64, 3, 2],
  ['unet 8×8 pointwise', 128, 64, 8, 64, 1],
  ['autoencoder 32×32', 64, 16, 32, 16],
  ['autoencoder 16×16', 64, 32, 16, 32],
  ['autoencoder 8×8', 64, 64, 8, 64],
  ['medium map', 16, 32, 32, 32],
  ['medium map, many channels', 8, 128, 16, 128],
  ['small map, many channels', 4, 512, 8, 512],
]

/** Rows, inner size, columns. */
const MATMULS: readonly (readonly [m: number, k: number, n: number])[] = [
  [256, 256, 256],
  [512, 512, 512],
  [1024, 1024, 1024],
  [128, 256, 64],
  [640, 512, 10],
]

function random(device: Device, count: number): GpuBuffer {
  const buffer = device.alloc(count * 4)
  device.upload(
    buffer,
    Float32Array.from({ length: count }, () => Math.random() - 0.5),
  )
  return buffer
}

/** Best time of one launch, in milliseconds. */
async function time(device: Device, launch: () => GpuBuffer): Promise<number> {
  const run = async (launches: number) => {
    const start = performance.now()
    for (let i = 0; i < launches; i++) device.release(launch())
    await device.synchronize()
    return (performance.now() - start) / launches
  }
  await run(1)
  const once = await run(1)
  const launches = Math.max(1, Math.min(50, Math.round(60 / once)))
  let best = once
  for (let i = 0; i < 5; i++) best = Math.min(best, await run(launches))
  return best
}

const filter = process.argv[2] ?? ''
const device = await openDevice()
const column = (text: string, width: number) => text.padEnd(width)
const figure = (flops: number, ms: number) =>
  `${(flops / ms / 1e6).toFixed(1).padStart(6)} GFLOP/s ${ms.toFixed(2).padStart(7)} ms`

for (const [name, n, c, size, o, kernel = 3, stride = 1] of CONVS) {
  if (!name.includes(filter)) continue
  const pad = Math.floor(kernel / 2)
  const out = Math.floor((size + 2 * pad - kernel) / stride) + 1
  const sizes = { n, c, h: size, w: size, o, ho: out, wo: out, kh: kernel, kw: kernel, stride, top: pad, left: pad }
  const flops = 2 * n * o * out * out * c * kernel * kernel
  const x = random(device, n * c * size * size)
  const weight = random(device, o * c * kernel * kernel)
  const grad = random(device, n * o * out * out)
  const figures = []
  for (const launch of [
    () => kernels.conv2d(device, x, weight, sizes),
    () => kernels.conv2dInputGrad(device, grad, weight, sizes),
    () => kernels.conv2dWeightGrad(device, x, grad, sizes),
  ]) {
    figures.push(figure(flops, await time(device, launch)))
  }
  const shape = `(${n},${c},${size}²→${o})${stride > 1 ? `/${stride}` : ''}`
  console.log(column(name, 30), column(shape, 20), 'forward', figures[0], '| input', figures[1], '| weight', figures[2])
  for (const buffer of [x, weight, grad]) device.release(buffer)
}
for (const [m, k, n] of MATMULS) {
  const name = `matmul ${m}×${k}·${k}×${n}`
  if (!name.includes(filter)) continue
  const a = random(device, m * k)
  const b = random(device, k * n)
  const figures = []
  for (const [transposeA, transposeB] of [
    [false, false],
    [true, false],
    [false, true],
  ] as const) {
    const sizes = { batches: 1, m, n, k, transposeA, transposeB }
    figures.push(figure(2 * m * n * k, await time(device, () => kernels.matmul(device, a, b, sizes))))
  }
  console.log(column(name, 51), 'a·b    ', figures[0], '| aᵀ·b ', figures[1], '| a·bᵀ  ', figures[2])
  for (const buffer of [a, b]) device.release(buffer)
}
device.destroy()
