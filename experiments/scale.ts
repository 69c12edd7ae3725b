// How large the experiments on Fashion-MNIST are: `--scale cores` (the default), for two CPU cores, or `--scale gpu`, the
// full protocol: the paper's networks, evaluation and numbers of experts, all test images. What it computes is saved in
// files of its own, NAME-gpu.json.
import { optionError } from '../src/errors.ts'
import { paperProtocol, type TrainingProtocol } from '../src/ld3m/index.ts'
import { alexNet, convNet, resNet, type Student, vgg, vit } from '../src/models/index.ts'
import { readOptions } from './options.ts'
import { shortProtocol } from './protocol.ts'

export interface Scale {
  /** What is matched. */
  readonly seen: Student
  /** Architectures that no distillation sees. */
  readonly unseen: readonly Student[]
  /** How every network is trained, whatever it is trained on, and how often. */
  readonly protocol: TrainingProtocol & { readonly runs: number }
  /** What differs where they are trained on the whole dataset. */
  readonly whole: TrainingProtocol
  /** Shares of 6,000 validation and 10,000 test images. */
  readonly share: { readonly validation: number; readonly test: number }
  readonly seeds: number
  /** Of a distillation: when learning rates are chosen, spaces and objectives compared, and steps or parts varied. */
  readonly iterations: { readonly tuning: number; readonly spaces: number; readonly parts: number }
  readonly experts: { readonly count: number; readonly epochs: number }
  /** Ends of files' names. */
  readonly suffix: string
}

const task = { channels: 1, size: 32, classes: 10 }

const SCALES = {
  /** An accuracy of 70 % on 2,500 test images stands within ±0.9 points of that on all. */
  cores: {
    seen: convNet({ ...task, depth: 3, width: 32 }),
    unseen: [
      alexNet({ ...task, widths: [32, 64, 64, 64] }),
      vgg({ ...task, widths: [16, 32, 64, 64, 64], poolSize: 1 }),
      resNet({ ...task, widths: [16, 32, 64], blocks: [1, 1, 1] }),
      vit({ ...task, width: 64, depth: 3, heads: 4, headWidth: 16, hidden: 64 }),
    ],
    protocol: shortProtocol,
    whole: { batch: 128 },
    share: { validation: 0.25, test: 0.25 },
    seeds: 3,
    iterations: { tuning: 80, spaces: 120, parts: 100 },
    experts: { count: 6, epochs: 4 },
    suffix: '',
  },
  gpu: {
    seen: convNet({ ...task, depth: 3, width: 128 }),
    unseen: [alexNet(task), vgg(task), resNet(task), vit(task)],
    protocol: paperProtocol(),
    whole: {},
    share: { validation: 1, test: 1 },
    seeds: 5,
    iterations: { tuning: 500, spaces: 5000, parts: 2000 },
    experts: { count: 100, epochs: 15 },
    suffix: '-gpu',
  },
} as const satisfies Record<string, Scale>

const { values } = readOptions({
  options: { scale: { type: 'string', default: 'cores' }, table: { type: 'boolean', default: false } },
})

/** `--table`: an experiment shows what it has, and computes nothing. */
export const tableOnly = values.table

export const scale: Scale = (() => {
  const found = Object.entries(SCALES).find(([name]) => name === values.scale)
  if (!found) throw optionError(`--scale is '${values.scale}'.`, `Use ${Object.keys(SCALES).join(' or ')}.`)
  return found[1]
})()

/** Where an experiment's results are. */
export const resultsFile = (name: string): string => `docs/experiments/${name}${scale.suffix}.json`

/** Where what is too large for the repository is. */
export const scratchFolder = (name: string): string => `runs/experiments/${name}${scale.suffix}`
