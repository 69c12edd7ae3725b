export { type Autoencoder, autoencoder } from './autoencoder.ts'
export type { Coder } from './coder.ts'
export { type KlAutoencoder, klAutoencoder, type Posterior } from './kl.ts'
export {
  type AutoencoderOptions,
  type CoderOptions,
  type KlAutoencoderOptions,
  klPresets,
  type TinyAutoencoderOptions,
  tinyPresets,
  type VqAutoencoderOptions,
  vqPresets,
} from './options.ts'
export { type TinyAutoencoder, tinyAutoencoder } from './tiny.ts'
export { type VqAutoencoder, vqAutoencoder } from './vq.ts'
