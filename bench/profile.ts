import { fileURLToPath } from 'node:url'
import { FASHION_MNIST_CLASSES, padTo } from '../src/data/index.ts'
import type { Device, Profile } from '../src/gpu/index.ts'
import { type DistillOptions, distill, dm } from '../src/ld3m/index.ts'
import { loadIdx, loadPrior } from '../src/node/index.ts'

const assets = fileURLToPath(new URL('../assets/', import.meta.url))

/** What the demo distils, for `steps` iterations. */
async function demoOptions(device: Device, steps: number): Promise<DistillOptions> {
  const dataset = await loadIdx(`${assets}fashion-mnist`, { split: 'train', classNames: FASHION_MNIST_CLASSES })
  return {
    dataset: padTo(dataset, 32),
    prior: await loadPrior(device, `${assets}priors/fashion-mnist.safetensors`),
    objective: dm(),
    imagesPerClass: 1,
    steps,
    seed: 0,
    realBatch: 32,
    diffusion: { steps: 4 },
  }
}

/**
 * Profiles one iteration of the demo's distillation, after one that compiles kernels and fills caches.
 * @throws Ld3mError `adapter` if the adapter has no timestamp queries
 */
export async function profileDistillation(device: Device): Promise<Profile<void>> {
  let profile: Promise<Profile<void>> | undefined
  let end = (): void => undefined
  const options = await demoOptions(device, 2)
  const onProgress = async ({ iteration }: { iteration: number }) => {
    if (iteration === 1) {
      // The profile lasts from here to the next call. It has begun when its function runs.
      await new Promise<void>((begun, failed) => {
        profile = device.profile(() => {
          begun()
          return new Promise<void>((resolve) => {
            end = resolve
          })
        })
        profile.catch(failed)
      })
    } else {
      end()
      await profile
    }
  }
  await distill({ ...options, onProgress })
  options.prior?.dispose()
  return profile as unknown as Promise<Profile<void>>
}
