// Experts for MTT on Fashion-MNIST: six networks, four epochs each, enough for starts at epochs 0 and 1 and targets two
// epochs later, as in the paper's code (which trains 5,000 of 15 epochs).
import type { Dataset } from '../src/data/index.ts'
import type { Device } from '../src/gpu/index.ts'
import { type Experts, trainExperts } from '../src/ld3m/index.ts'
import { expertsFolder } from '../src/node/index.ts'
import { seen } from './fashion.ts'

/** Trained once: what the folder holds already is taken as it is. */
export function fashionExperts(device: Device, dataset: Dataset, folder: string): Promise<Experts> {
  return trainExperts({
    ...{ device, dataset, store: expertsFolder(folder), count: 6, epochs: 4, student: seen },
    onProgress: ({ expert, epoch, loss }) =>
      console.log(`expert ${expert + 1}, epoch ${epoch}: loss ${loss.toFixed(3)}`),
  })
}
