// A process of its own that a test may kill: gradient matching with a network that is kept, on a part of Fashion-MNIST.
// node --import ./scripts/register.mjs test/support/experiment-process.ts FOLDER STEPS
import { selectClasses, takePerClass } from '../../src/data/index.ts'
import { dc } from '../../src/ld3m/index.ts'
import { convNet } from '../../src/models/index.ts'
import { loadIdx, openDevice, runExperiment } from '../../src/node/index.ts'

const [folder, steps] = process.argv.slice(2) as [string, string]
const device = await openDevice()
const part = async (split: 'train' | 'test') =>
  takePerClass(selectClasses(await loadIdx('assets/fashion-mnist', { split }), ['0', '1']), 20)
const [train, test] = [await part('train'), await part('test')]
const student = convNet({ channels: 1, size: 28, classes: 2, depth: 2, width: 8 })
await runExperiment(folder, {
  ...{ train, test, saveEvery: 0, evaluate: { students: [student], runs: 1, steps: 1 } },
  distill: {
    ...{ space: 'pixel', device, student, steps: Number(steps), realBatch: 20 },
    objective: dc({ loops: { outer: 3, inner: 2 } }),
  },
})
device.destroy()
