import { planMemory } from '../autograd/index.ts'
import { rejectUnknownOptions } from '../errors.ts'
import type { MemoryPlan } from '../gpu/index.ts'
import type { DistillOptions } from './distill-options.ts'
import { Distillation } from './distillation.ts'
import { atLeastOne } from './options.ts'
import { spaceOf } from './spaces/index.ts'
import type { DistilledSet } from './synthetic.ts'

/**
 * Distils a dataset with LD3M: learns latents and conditionings of a frozen latent diffusion model so that training on
 * the images that it makes of them is like training on the real ones (Eq. 6 of the paper). Each iteration draws the
 * synthetic images, takes the objective's gradient with respect to them, and carries it back through the decoder and
 * the diffusion process, chunk by chunk. Other spaces leave out the diffusion or the prior (`space`).
 * @throws DistillationStopped if `signal` fires, a loss or gradient is not finite, a loss exceeds a million times the first
 * one, or an image of a streamed dataset cannot be read; it carries the result so far
 * @throws Ld3mError `option`, `shape` or `data` for input that does not fit
 */
export async function distill(options: DistillOptions): Promise<DistilledSet> {
  const run = await Distillation.start(options)
  try {
    while (run.iteration < run.iterations) await run.iterate()
    return await run.snapshot()
  } finally {
    run.dispose()
  }
}

/**
 * The GPU memory that `distill` would need with these options, in a fraction of an iteration's time and without the GPU:
 * from the first image to the update of the third iteration (or the last, where there are fewer). Later iterations differ
 * only by what augmentation draws, less than 1 % of the demo's peak.
 * @throws Ld3mError as `distill` does: `option`, `shape` or `data`; `memory` if a tensor is larger than the adapter binds
 */
export function planDistill(options: DistillOptions): MemoryPlan {
  const { device } = spaceOf('distill', options, options.dataset)
  return planMemory(device, () => Distillation.rehearse(options))
}

/**
 * The options that are plain data, with their defaults filled in: what a run's record says of it.
 * @throws Ld3mError as `distill` does: `option` or `shape`
 */
export const describeDistill = (options: DistillOptions): Readonly<Record<string, unknown>> =>
  Distillation.describe(options)

/** What a distillation would need, measured. */
export interface DistillEstimate {
  /** The most GPU bytes in use at once, by `planDistill`. */
  readonly peakBytes: number
  /** Mean of the iterations that were timed. */
  readonly secondsPerIteration: number
  /** Of all iterations that are to be done. */
  readonly seconds: number
}

/**
 * The memory that `distill` would need with these options, and its time, by a trial: the first iteration, which compiles
 * kernels and reads files, and `timed` more, whose mean is the estimate; nothing of them is kept. So it takes about
 * `timed` + 1 iterations itself. What `onProgress` does is left out, and so is what makes later iterations differ: other
 * work on the machine, images that a cache no longer holds, networks that `dc` keeps in its longer loops.
 * @throws Ld3mError as `planDistill` and `distill` do
 */
export async function estimateDistill(
  options: DistillOptions,
  trial: { readonly timed?: number } = {},
): Promise<DistillEstimate> {
  rejectUnknownOptions('estimateDistill', trial, ['timed'])
  const { timed = 2 } = trial
  atLeastOne('estimateDistill', 'timed', timed)
  const { peakBytes } = planDistill(options)
  const { onProgress: _onProgress, ...rest } = options
  const run = await Distillation.start(rest)
  try {
    const left = run.iterations - run.iteration
    await run.iterate()
    const start = performance.now()
    for (let i = 0; i < timed; i++) await run.iterate()
    const secondsPerIteration = (performance.now() - start) / 1000 / timed
    return { peakBytes, secondsPerIteration, seconds: left * secondsPerIteration }
  } finally {
    run.dispose()
  }
}
