export { type VqAutoencoder, vqAutoencoder } from './autoencoder.ts'
export { type VqAutoencoderOptions, vqPresets } from './options.ts'
