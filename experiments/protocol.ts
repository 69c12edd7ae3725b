import type { TrainingProtocol } from '../src/ld3m/index.ts'

/** How networks are trained where two cores do it: once, for 300 steps, whatever they are trained on. */
export const shortProtocol = {
  ...{ runs: 1, batch: 32, steps: 300, learningRate: 0.01, warmup: 0.1, averaging: 0.98 },
} as const satisfies TrainingProtocol & { readonly runs: number }
