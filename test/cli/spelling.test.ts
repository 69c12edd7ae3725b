import { describe, expect, test } from 'vitest'
import { inCommandLine } from '../../src/cli/spelling.ts'

const string = { type: 'string' } as const
const args = {
  ...{ data: string, size: string, steps: string, ipc: string, lr: string, seed: string, 'prior-classes': string },
  ...{
    'max-start-epoch': string,
    'expert-epochs': string,
    'outer-loops': string,
    resume: { type: 'boolean' } as const,
    ...{ prior: string, 'hold-out': string },
  },
}

describe('messages of the API in the words of a command', () => {
  test.each([
    [
      "distill: the prior has no class 'hat', only shoe. Pass priorClasses: the prior's class id for each class.",
      "distill: the prior has no class 'hat', only shoe. Pass --prior-classes: the prior's class id for each class.",
    ],
    ['photographs holds images of any size. Give size, in pixels.', /images of any size\. Give --size, in pixels\.$/],
    [
      "priorFromCheckpoint: size is 64; the file's prior makes images of 8×8. Leave size out.",
      "--size is 64; the file's prior makes images of 8×8. Leave --size out.",
    ],
    [
      'mtt: an expert has 1 epoch; maxStartEpoch 2 with expertEpochs 2 asks for 3. Lower one of them.',
      'mtt: an expert has 1 epoch; --max-start-epoch 2 with --expert-epochs 2 asks for 3. Lower one of them.',
    ],
    ['x is there already. Give another file name, or load it with loadPrior.', /or load it with --prior\.$/],
    ["splitDataset: class 'a' of 'x' has a single image.", "--hold-out: class 'a' of 'x' has a single image."],
    ['distill: seed is -1. Use an integer from 0.', '--seed is -1. Use an integer from 0.'],
    ['the loss grew. Lower learningRate.', 'the loss grew. Lower --lr.'],
    ['a state of another run: imagesPerClass (1 before). Start again without resume.', /--ipc .* without --resume\.$/],
    ['dc: loops.outer is 0. Use an integer ≥ 1.', '--outer-loops is 0. Use an integer ≥ 1.'],
  ])('%j', (message, expected) => {
    const said = inCommandLine(message, args)
    if (typeof expected === 'string') expect(said).toBe(expected)
    else expect(said).toMatch(expected)
  })

  test.each([
    'Cannot read /data/priorClasses/size.png: ENOENT. Give a folder that exists and can be read.',
    "The class folder 'priorClasses' holds 3 steps of another size, and no data.",
    'Use the same options and data, or another store.',
    '--size is of no use to --space pixel. Leave it out.',
  ])('%j stays as it is', (message) => expect(inCommandLine(message, args)).toBe(message))

  test('only options that a command has are spelled as its own', () => {
    for (const message of [
      'Pass priorClasses, or give size.',
      'Give another file name, or load it with loadPrior.',
      'Divide train with splitDataset, or select the other classes with selectClasses. Lower learningRate.',
    ]) {
      expect(inCommandLine(message, { data: string })).toBe(message)
    }
  })
})
