/** `npm run bench:peers`: this library beside TensorFlow.js and jax-js, on one adapter; see options.ts. */
import process from 'node:process'
import { openJax } from './jax.ts'
import { installNavigator } from './navigator.ts'
import { main, packageVersion } from './report.ts'
import { openTensorFlow } from './tensorflow.ts'

const open = async ({ kind }: { readonly kind: Parameters<typeof installNavigator>[0] }) => {
  installNavigator(kind)
  return [await openTensorFlow(kind), await openJax(kind, await packageVersion('@jax-js/jax'))]
}

await main({ script: 'bench:peers', open }, process.argv.slice(2))
