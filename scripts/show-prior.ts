// `npm run show-prior`: pictures and figures of the demo's prior, on the test images in assets: reconstructions, samples
// PSNR and loss curves. Writes docs/images/prior-* and prints the figures that docs/prior.md quotes.
import { mkdir, readFile } from 'node:fs/promises'
import { noGrad, scope, type Tensor, tensor } from '../src/autograd/index.ts'
import { padTo, toFloat } from '../src/data/index.ts'
import { imageGrid } from '../src/io/index.ts'
import { loadIdx, loadPrior, openDevice, writeFileAtomic } from '../src/node/index.ts'
import { curvesSvg } from './curves-svg.ts'

const device = await openDevice()
const prior = await loadPrior(device, 'assets/priors/fashion-mnist.safetensors')
const test = padTo(await loadIdx('assets/fashion-mnist', { split: 'test' }), 32)
await mkdir('docs/images', { recursive: true })

async function read(make: () => Tensor): Promise<Float32Array> {
  const t = scope(() => noGrad(make))
  const data = await t.read()
  t.dispose()
  return data.map((v) => Math.min(Math.max((v + 1) / 2, 0), 1))
}

const all = Array.from({ length: test.count }, (_, i) => i)
let squared = 0
let shown: { original: Float32Array; decoded: Float32Array } | undefined
for (let first = 0; first < test.count; first += 100) {
  const original = toFloat(test, all.slice(first, first + 100))
  const decoded = await read(() => {
    const x = tensor(
      device,
      original.map((v) => 2 * v - 1),
      { shape: [original.length / 1024, 1, 32, 32] },
    )
    return prior.decode(prior.encode(x))
  })
  for (let i = 0; i < decoded.length; i++) squared += ((decoded[i] as number) - (original[i] as number)) ** 2
  shown ??= { original: original.slice(0, 10 * 1024), decoded: decoded.slice(0, 10 * 1024) }
}
const psnr = -10 * Math.log10(squared / (test.count * 1024))
console.log(`PSNR of reconstructions of ${test.count} test images: ${psnr.toFixed(2)} dB`)

const rows = shown as { original: Float32Array; decoded: Float32Array }
const both = new Float32Array(20 * 1024)
both.set(rows.original)
both.set(rows.decoded, 10 * 1024)
const grid = { columns: 10, scale: 3, padding: 4 }
await writeFileAtomic(
  'docs/images/prior-reconstructions.png',
  imageGrid({ images: both, shape: [20, 1, 32, 32], ...grid }),
)

// Three rows of one sample a class.
const samples = new Float32Array(30 * 1024)
for (let classId = 0; classId < 10; classId++) {
  const { data } = await prior.sample({ classId, count: 3, seed: classId })
  for (let i = 0; i < 3; i++) samples.set(data.subarray(i * 1024, (i + 1) * 1024), (10 * i + classId) * 1024)
}
await writeFileAtomic('docs/images/prior-samples.png', imageGrid({ images: samples, shape: [30, 1, 32, 32], ...grid }))

const { curves, every } = JSON.parse(await readFile('assets/priors/fashion-mnist.safetensors.training.json', 'utf8'))
await writeFileAtomic(
  'docs/images/prior-loss.svg',
  curvesSvg([
    { title: 'Autoencoder', values: curves.autoencoder, every },
    { title: 'Denoiser', values: curves.denoiser, every },
  ]),
)
device.destroy()
