import { HostRandom, noGrad, type Tensor } from '../../src/autograd/index.ts'
import type { Device } from '../../src/gpu/index.ts'
import type { Experts, MatchingContext, RunContext } from '../../src/ld3m/index.ts'
import { convNet, disposeState, type NamedArrays, readStateDict, type Student } from '../../src/models/index.ts'
import { goldenState, values, valuesTensor } from './golden.ts'

/** The small case of the goldens of objectives: three classes of 8×8 images in two channels. */
export const CLASSES = 3
export const student = convNet({ channels: 2, size: 8, classes: CLASSES, depth: 2, width: 4 })

export const runContext = (device: Device, imagesPerClass: number, of: Student = student): RunContext => ({
  ...{ device, student: of, classNames: ['a', 'b', 'c'], imagesPerClass },
  normalization: { mean: [0, 0], std: [1, 1] },
  random: new HostRandom({ seed: 1, stream: 0 }),
})

/** An iteration on the goldens' synthetic images, without augmentation. */
export const matchingContext = (
  { device, student, imagesPerClass }: RunContext,
  more: Partial<MatchingContext> = {},
): MatchingContext => ({
  ...{ iteration: 0, device, student, classes: CLASSES, imagesPerClass, augmentation: [] },
  images: noGrad(() => valuesTensor(device, 1, [CLASSES * imagesPerClass, 2, 8, 8], -2, 2)),
  realBatch: (k): Tensor => valuesTensor(device, 10 + k, [5, 2, 8, 8], -2, 2),
  random: new HostRandom({ seed: 11, stream: 0 }),
  ...more,
})

/** One expert whose parameters move from the goldens' by draws, `distance` times as far each epoch. */
export async function goldenExperts(device: Device, distance = 0.05, of: Student = student): Promise<Experts> {
  const state = goldenState(device, of, 400)
  const start = await readStateDict(state)
  disposeState(state)
  const names = Object.keys(start).sort()
  const at = (epoch: number): NamedArrays =>
    Object.fromEntries(
      names.map((name, k) => {
        const { shape, data } = start[name]!
        const draws = values(600 + k, shape)
        return [name, { shape, data: data.map((v, i) => v + epoch * distance * draws[i]!) }]
      }),
    )
  const parameters = Object.entries(of.parameters).map(([name, { shape }]) => [name, [...shape]])
  return {
    manifest: {
      format: 'ld3m-gpu experts, version 2',
      dataset: { name: 'draws', count: 1, classNames: ['a', 'b', 'c'], images: '00000000' },
      normalization: { mean: [0, 0], std: [1, 1] },
      student: { name: of.name, inputShape: [...of.inputShape], parameters: Object.fromEntries(parameters) },
      training: {
        ...{ epochs: 1, batch: 1, learningRate: 0.1, momentum: 0, weightDecay: 0, augmentation: [], seed: 0 },
      },
      experts: [{ files: ['0', '1'], loss: [1] }],
    },
    count: 1,
    snapshot: async (_, epoch) => at(epoch),
  }
}
