import type { PriorRecipe } from '../src/ld3m/index.ts'

/** The prior of the demo: Fashion-MNIST, padded to 1×32×32; latents 3×8×8. */
export const fashionRecipe: PriorRecipe = {
  name: 'fashion-mnist',
  autoencoder: {
    channels: 1,
    baseChannels: 16,
    channelMult: [1, 2],
    numResBlocks: 1,
    latentChannels: 3,
    codebookSize: 256,
    groups: 8,
    midAttention: false,
    stem: 'strided',
  },
  denoiser: {
    inChannels: 3,
    modelChannels: 16,
    channelMult: [1, 2],
    numResBlocks: 1,
    attentionLevels: [1],
    contextDim: 32,
    numHeads: 1,
    groups: 8,
  },
  autoencoderTraining: { steps: 2400, batch: 32, learningRate: 2e-3 },
  denoiserTraining: { steps: 2400, batch: 64, learningRate: 1e-3, emaDecay: 0.995, conditionDropout: 0.1 },
}
