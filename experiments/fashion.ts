// What the experiments on Fashion-MNIST share: data, prior, networks.
import { FASHION_MNIST_CLASSES, padTo, splitDataset } from '../src/data/index.ts'
import type { Device } from '../src/gpu/index.ts'
import { alexNet, convNet, resNet, type Student, vgg, vit } from '../src/models/index.ts'
import { loadIdx, loadPrior } from '../src/node/index.ts'

/** All of Fashion-MNIST where Debian's package dataset-fashion-mnist puts it; its test images are the test set. */
const WHOLE = '/usr/share/datasets/fashion-mnist'
const assets = new URL('../assets/', import.meta.url).pathname

const load = async (split: 'train' | 'test') =>
  padTo(await loadIdx(WHOLE, { split, classNames: FASHION_MNIST_CLASSES }), 32)

/** 54,000 images to distil, 6,000 to choose by, 10,000 to test on; 32×32. */
export async function fashion() {
  const { train, validation } = splitDataset(await load('train'), { validationFraction: 0.1 })
  return { train, validation, test: await load('test') }
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
