import { HostRandom, keep, ops, type Tensor, tensor } from '../autograd/index.ts'
import { type AnyDataset, readImages, toUnit } from '../data/index.ts'
import type { Device } from '../gpu/index.ts'
import { initialize, Params, type StateDict, type VqAutoencoderOptions, vqAutoencoder } from '../models/index.ts'
import { toSigned } from './normalization.ts'
import { Trainer, type TrainerHooks } from './trainer.ts'

export interface AutoencoderTraining {
  /** Optimiser steps. */
  steps: number
  /** Images a step. */
  batch: number
  /** Peak learning rate of Adam; it falls linearly to a tenth over the second half. */
  learningRate: number
}

const COMMITMENT = 0.25
const L1_WEIGHT = 0.3
/** Every so many steps, codes that the last batches did not use are replaced by encodings. */
const RESEED_EVERY = 50
const RESEED_BATCHES = 5

/**
 * A trainer for a vector-quantised autoencoder (van den Oord et al. 2017): mean squared error, plus 0.3 times the mean
 * absolute error for sharper edges, codebook and commitment losses; unused codes are re-seeded over the first 70 %.
 */
export function autoencoderTrainer(
  device: Device,
  dataset: AnyDataset,
  config: VqAutoencoderOptions,
  { steps, batch, learningRate }: AutoencoderTraining,
  seed: number,
  rest: TrainerHooks & { recipe: object },
): { trainer: Trainer<Float32Array>; state: StateDict } {
  const module = vqAutoencoder(config)
  const state = initialize(device, module, { seed })
  const params = new Params(state)
  const codebook = state['quantize.embedding.weight'] as Tensor
  const shape = [batch, dataset.channels, dataset.height, dataset.width]
  const recent: { indices: Tensor; z: Tensor }[] = []
  const release = () => {
    for (const { indices, z } of recent.splice(0)) {
      indices.dispose()
      z.dispose()
    }
  }

  const trainer = new Trainer<Float32Array>({
    ...rest,
    name: 'autoencoder',
    device,
    parameters: state,
    steps,
    learningRate: (step) => learningRate * Math.min(1, 0.1 + 1.8 * (1 - step / steps)),
    batch: async (step) => {
      const random = new HostRandom({ seed, stream: 1 }).fork(`autoencoder ${step}`)
      const chosen = Array.from({ length: batch }, () => random.integer(dataset.count))
      return toUnit(await readImages(dataset, chosen))
    },
    blank: () => new Float32Array(shape.reduce((a, b) => a * b)),
    rehearsed: Array.from({ length: RESEED_BATCHES }, (_, i) => RESEED_EVERY - RESEED_BATCHES + i),
    loss: (images, step) => {
      const x = toSigned(tensor(device, images, { shape }))
      const z = module.encode(params, x)
      const { quantized, indices } = module.quantize(params, z)
      const codes = ops.permute(ops.gather(codebook, indices), [0, 3, 1, 2])
      const error = ops.sub(module.decode(params, quantized), x)
      const squared = (a: Tensor, b: Tensor) => ops.mean(ops.square(ops.sub(a, b)))
      const quantization = ops.add(squared(codes, z.detach()), ops.scale(squared(z, codes.detach()), COMMITMENT))
      if (step % RESEED_EVERY >= RESEED_EVERY - RESEED_BATCHES) {
        recent.push({ indices: keep(indices.detach()), z: keep(z.detach()) })
      }
      const reconstruction = ops.add(ops.mean(ops.square(error)), ops.scale(ops.mean(ops.abs(error)), L1_WEIGHT))
      return ops.add(reconstruction, quantization)
    },
    canStop: () => recent.length === 0,
    afterStep: async (step) => {
      if (step % RESEED_EVERY !== RESEED_EVERY - 1) return
      if (step < 0.7 * steps) await reseed(codebook, recent, new HostRandom({ seed, stream: 2 }).fork(`reseed ${step}`))
      release()
    },
    release,
  })
  return { trainer, state }
}

/** Replaces rows of the codebook [K, C] that `recent` did not use by random encodings of the last batch. */
async function reseed(
  codebook: Tensor,
  recent: readonly { indices: Tensor; z: Tensor }[],
  random: HostRandom,
): Promise<void> {
  const [rows, width] = codebook.shape as [number, number]
  const used = new Set<number>()
  for (const { indices } of recent) for (const i of await indices.read()) used.add(i)
  const last = recent.at(-1)
  if (used.size === rows || !last) return
  const table = await codebook.read()
  const z = await last.z.read()
  const [n, , h, w] = last.z.shape as [number, number, number, number]
  for (let row = 0; row < rows; row++) {
    if (used.has(row)) continue
    const image = random.integer(n)
    const position = random.integer(h * w)
    for (let c = 0; c < width; c++) table[row * width + c] = z[(image * width + c) * h * w + position] as number
  }
  codebook.write(table)
}
