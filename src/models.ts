/**
 * Modules as functions of their parameters: layers, student networks, the UNet denoiser, autoencoders.
 *
 * @module ld3m-gpu/models
 */
export * from './models/index.ts'
