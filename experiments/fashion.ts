// Fashion-MNIST and its prior, as the experiments use them.
import { fileURLToPath } from 'node:url'
import { type Dataset, padTo, splitDataset } from '../src/data/index.ts'
import type { Device } from '../src/gpu/index.ts'
import { loadPrior } from '../src/node/index.ts'
import { fashionSplit } from './fashion-files.ts'
import { scale } from './scale.ts'

const assets = fileURLToPath(new URL('../assets/', import.meta.url))

/** The same share of every class. */
const share = (dataset: Dataset, fraction: number) =>
  fraction === 1 ? dataset : splitDataset(dataset, { validationFraction: fraction }).validation

/** 32×32: 54,000 images to distil, of the other training images some to choose by, and test images. */
export async function fashion() {
  const [whole, test] = await Promise.all((['train', 'test'] as const).map(fashionSplit))
  const { train, validation } = splitDataset(padTo(whole as Dataset, 32), { validationFraction: 0.1 })
  return {
    train,
    validation: share(validation, scale.share.validation),
    test: share(padTo(test as Dataset, 32), scale.share.test),
  }
}

export const fashionPrior = (device: Device) => loadPrior(device, `${assets}priors/fashion-mnist.safetensors`)
