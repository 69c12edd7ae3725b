// Experts for MTT on Fashion-MNIST: trained when they are first asked for, epoch by epoch, and kept.
import type { Dataset } from '../src/data/index.ts'
import type { Device } from '../src/gpu/index.ts'
import { type Experts, openExperts, trainExperts } from '../src/ld3m/index.ts'
import { expertsFolder } from '../src/node/index.ts'
import { scale, scratchFolder } from './scale.ts'

export async function fashionExperts(device: Device, dataset: Dataset): Promise<Experts> {
  const store = expertsFolder(scratchFolder('experts'))
  await trainExperts({
    ...{ device, dataset, store, student: scale.seen, ...scale.experts },
    onProgress: ({ expert, epoch, loss }) =>
      console.log(`expert ${expert + 1}, epoch ${epoch}: loss ${loss.toFixed(3)}`),
  })
  return await openExperts(store)
}
