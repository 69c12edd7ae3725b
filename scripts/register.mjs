// `node --import ./scripts/register.mjs FILE.ts` runs TypeScript sources that import `.wgsl` files.
import { register } from 'node:module'
import { register as registerTsx } from 'tsx/esm/api'

registerTsx()
register('./wgsl-hook.mjs', import.meta.url)
