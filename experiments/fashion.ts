// What the experiments on Fashion-MNIST share: data, prior, networks and how each network is trained.
import { type Dataset, FASHION_MNIST_CLASSES, padTo, splitDataset } from '../src/data/index.ts'
import type { Device } from '../src/gpu/index.ts'
import type { TrainingProtocol } from '../src/ld3m/index.ts'
import { alexNet, convNet, resNet, type Student, vgg, vit } from '../src/models/index.ts'
import { loadIdx, loadPrior } from '../src/node/index.ts'

/** All of Fashion-MNIST where Debian's package dataset-fashion-mnist puts it; its test images are the test set. */
export const WHOLE = '/usr/share/datasets/fashion-mnist'
const assets = new URL('../assets/', import.meta.url).pathname

const load = async (split: 'train' | 'test') =>
  padTo(await loadIdx(WHOLE, { split, classNames: FASHION_MNIST_CLASSES }), 32)

/** A share of a dataset, the same of every class. */
const share = (dataset: Dataset, fraction: number) => splitDataset(dataset, { validationFraction: fraction }).validation

/**
 * 32×32: 54,000 images to distil; 1,500 of 6,000 other training images to choose by; 2,500 of the 10,000 test images, so
 * that two cores can carry it: an accuracy of 70 % stands within ±0.9 points of that of all.
 */
export async function fashion() {
  const { train, validation } = splitDataset(await load('train'), { validationFraction: 0.1 })
  return { train, validation: share(validation, 0.25), test: share(await load('test'), 0.25) }
}

export const fashionPrior = (device: Device) => loadPrior(device, `${assets}priors/fashion-mnist.safetensors`)

const task = { channels: 1, size: 32, classes: 10 }

/** What is matched: a ConvNet-3 of width 32, so that two cores can carry it. */
export const seen: Student = convNet({ ...task, depth: 3, width: 32 })

/** Architectures that no distillation saw, at widths that two cores can carry. */
export const unseen: readonly Student[] = [
  alexNet({ ...task, widths: [32, 64, 64, 64] }),
  vgg({ ...task, widths: [16, 32, 64, 64, 64], poolSize: 1 }),
  resNet({ ...task, widths: [16, 32, 64], blocks: [1, 1, 1] }),
  vit({ ...task, width: 64, depth: 3, heads: 4, headWidth: 16, hidden: 64 }),
]

/** Of every network, whatever it is trained on. */
export const protocol: TrainingProtocol = { steps: 300, learningRate: 0.01, warmup: 0.1, averaging: 0.98 }
