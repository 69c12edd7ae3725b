import { FASHION_MNIST_CLASSES } from '../../src/data/index.ts'
import type { Accuracy } from '../../src/ld3m/index.ts'
import type { ReportData } from '../../src/ld3m/report/index.ts'

/** Numbers in [0, 1) from an integer: a sine's far decimals, good enough to draw with. */
const noise = (i: number) => {
  const x = Math.sin(i * 12.9898) * 43758.5453
  return x - Math.floor(x)
}

export function accuracyOf(runs: readonly number[]): Accuracy {
  const mean = runs.reduce((a, b) => a + b, 0) / runs.length
  const squares = runs.reduce((a, b) => a + (b - mean) ** 2, 0)
  return { mean, std: Math.sqrt(squares / Math.max(1, runs.length - 1)), runs }
}

const runsAround = (mean: number, spread: number, seed: number) =>
  accuracyOf(Array.from({ length: 5 }, (_, i) => mean + (noise(seed * 10 + i) - 0.5) * spread))

/** Smooth blobs, one a class, that sharpen from the initial to the final images. */
function blobs(count: number, channels: number, size: number, sharpness: number): Float32Array {
  return Float32Array.from({ length: count * channels * size * size }, (_, i) => {
    const x = ((i % size) / size - 0.5) * 2
    const y = ((Math.floor(i / size) % size) / size - 0.5) * 2
    const n = Math.floor(i / (size * size * channels))
    const c = Math.floor(i / (size * size)) % channels
    const petals = 1 + (n % 6)
    const radius = Math.hypot(x, y) - 0.5 - 0.25 * Math.cos(petals * Math.atan2(y, x) + c)
    return Math.min(1, Math.max(0, 0.5 - radius * sharpness + (noise(i) - 0.5) * 0.25))
  })
}

/** A plausible run on Fashion-MNIST, invented. */
export function sampleReport(
  over: Partial<ReportData> & { imagesPerClass?: number; channels?: number; size?: number } = {},
): ReportData {
  const { imagesPerClass = 1, channels = 1, size = 32, ...fields } = over
  const count = 10 * imagesPerClass
  const shape = [count, channels, size, size]
  return {
    title: 'Fashion-MNIST, gradient matching, 1 image per class',
    adapter: 'NVIDIA H100 80GB HBM3 (hardware, Vulkan)',
    seconds: 1523.4,
    iterations: 1000,
    config: {
      objective: 'dc',
      imagesPerClass,
      seed: 0,
      learningRate: { latents: 10, conditioning: 0.1 },
      diffusion: { steps: 20, eta: 0, guidanceScale: 1 },
      augmentation: ['color', 'crop', 'cutout', 'flip', 'scale', 'rotate'],
      init: 'real',
    },
    classNames: FASHION_MNIST_CLASSES,
    images: {
      initial: { shape, data: blobs(count, channels, size, 0.8) },
      final: { shape, data: blobs(count, channels, size, 4) },
      labels: Array.from({ length: count }, (_, i) => Math.floor(i / imagesPerClass)),
    },
    loss: Array.from({ length: 1000 }, (_, i) => (38 + 90 * Math.exp(-i / 140)) * (0.82 + 0.36 * noise(i))),
    accuracy: {
      distilled: {
        ConvNet: runsAround(0.712, 0.03, 1),
        AlexNet: runsAround(0.61, 0.05, 2),
        'VGG-11': runsAround(0.627, 0.04, 3),
        'ResNet-18': runsAround(0.598, 0.06, 4),
        ViT: runsAround(0.471, 0.05, 5),
      },
      randomReal: {
        ConvNet: runsAround(0.524, 0.09, 6),
        AlexNet: runsAround(0.463, 0.1, 7),
        'VGG-11': runsAround(0.502, 0.08, 8),
        'ResNet-18': runsAround(0.494, 0.07, 9),
        ViT: runsAround(0.482, 0.06, 10),
      },
    },
    seenArchitecture: 'ConvNet',
    ...fields,
  }
}
