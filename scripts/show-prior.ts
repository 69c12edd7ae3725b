// `npm run show-prior`: pictures and figures of the demo's prior, on the test images in assets: reconstructions, samples
// PSNR and loss curves. Writes docs/images/prior-* and prints the figures that docs/prior.md quotes.
import { mkdir, readFile } from 'node:fs/promises'
import { padTo } from '../src/data/index.ts'
import { imageGrid } from '../src/io/index.ts'
import { psnr, reconstruct, sampleClasses } from '../src/ld3m/index.ts'
import { loadIdx, loadPrior, openDevice, writeFileAtomic } from '../src/node/index.ts'
import { curvesSvg } from './curves-svg.ts'

const device = await openDevice()
const prior = await loadPrior(device, 'assets/priors/fashion-mnist.safetensors')
const test = padTo(await loadIdx('assets/fashion-mnist', { split: 'test' }), 32)
await mkdir('docs/images', { recursive: true })

const { real, decoded } = await reconstruct(
  prior,
  test,
  Array.from({ length: test.count }, (_, i) => i),
)
console.log(`PSNR of reconstructions of ${test.count} test images: ${psnr(real, decoded).toFixed(2)} dB`)

const grid = { columns: 10, scale: 3, padding: 4 }
const both = Float32Array.from([real, decoded].flatMap(({ data }) => [...data.subarray(0, 10 * 1024)]))
await writeFileAtomic(
  'docs/images/prior-reconstructions.png',
  imageGrid({ images: both, shape: [20, 1, 32, 32], ...grid }),
)

// Three rows of one sample a class.
const { shape, data } = await sampleClasses(
  prior,
  Array.from({ length: 10 }, (_, id) => id),
  3,
)
await writeFileAtomic('docs/images/prior-samples.png', imageGrid({ images: data, shape, ...grid }))

const { curves, every } = JSON.parse(await readFile('assets/priors/fashion-mnist.safetensors.training.json', 'utf8'))
await writeFileAtomic(
  'docs/images/prior-loss.svg',
  curvesSvg([
    { title: 'Autoencoder', values: curves.autoencoder, every },
    { title: 'Denoiser', values: curves.denoiser, every },
  ]),
)
device.destroy()
