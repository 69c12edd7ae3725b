export { timestepEmbedding } from './timestep.ts'
export { type Unet, type UnetOptions, unet, unetPresets } from './unet.ts'
