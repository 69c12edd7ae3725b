export { timestepEmbedding } from './timestep.ts'
export { type Unet, type UnetOptions, type UnetRunOptions, unet, unetPresets } from './unet.ts'
