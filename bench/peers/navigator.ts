import { globals } from 'webgpu'
import { type AdapterKind, requestAdapter } from '../../src/node/index.ts'

/**
 * Gives Node what browsers have: WebGPU's constants as globals, and a `navigator` whose `gpu` hands out adapters of the
 * kind. An adapter gives one device, so every request gets a fresh one, from the same driver.
 */
export function installNavigator(kind: AdapterKind): void {
  Object.assign(globalThis, globals)
  const gpu = { requestAdapter: async () => (await requestAdapter({ adapter: kind })).adapter }
  // Libraries look for browsers' names in the user agent.
  const navigator = { gpu, userAgent: `Node.js ${process.version}` }
  Object.defineProperty(globalThis, 'navigator', { value: navigator, configurable: true })
}
