// Factors that a learning rate is multiplied with, as functions of the step, which counts from 0.

/** From 1 at step 0 along half a cosine to 0 at step `steps` (Loshchilov & Hutter 2017, without restarts). */
export const cosineSchedule = (step: number, steps: number): number =>
  0.5 * (1 + Math.cos(Math.PI * progress(step, steps)))

/** From `start` at step 0 straight to `end` at step `steps`. Defaults: from 1 to 0. */
export const linearSchedule = (step: number, steps: number, start = 1, end = 0): number =>
  start + (end - start) * progress(step, steps)

/** From `start` (default 0) straight to 1 at step `warmup`, then along half a cosine to 0 at step `steps`. */
export const warmupCosineSchedule = (step: number, warmup: number, steps: number, start = 0): number =>
  step < warmup ? linearSchedule(step, warmup, start, 1) : cosineSchedule(step - warmup, steps - warmup)

/** 0…1; all of it where there are no steps. */
const progress = (step: number, steps: number): number => (steps > 0 ? Math.min(Math.max(step / steps, 0), 1) : 1)
