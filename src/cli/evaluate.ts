import { optionError } from '../errors.ts'
import { type DistilledSet, paperProtocol, type TrainingProtocol } from '../ld3m/index.ts'
import { type StudentName, studentByName, studentNames } from '../models/index.ts'
import { openDevice, readRunConfig, reopenRun } from '../node/index.ts'
import { command, countOf, integer, positiveNumber } from './arguments.ts'
import { DATA_KINDS, dataToEvaluate } from './data.ts'
import { HOLD_OUT, holdOutOf } from './hold-out.ts'

export const evaluateCommand = command(
  'evaluate',
  'Train networks on distilled and on as many random real images, and test both on real ones',
  {
    run: { type: 'string', valueHint: 'DIR', required: true, description: 'A folder that distill saved' },
    data: {
      type: 'string',
      valueHint: 'PATH',
      required: true,
      description: `Both splits of the images: ${DATA_KINDS}`,
    },
    'hold-out': { ...HOLD_OUT, description: `${HOLD_OUT.description}; default what the run held out` },
    students: {
      type: 'string',
      valueHint: 'A,B',
      default: studentNames.join(','),
      description: 'Architectures to train',
    },
    protocol: {
      type: 'enum',
      options: ['brief', 'paper'],
      default: 'brief',
      description:
        "Of training: 300 steps at 0.01 (AlexNet, ViT: 0.003) or the distilled rate, or the paper's 1000 epochs with warm-up and a moving average",
    },
    whole: { type: 'boolean', description: 'Train on the whole dataset as well, to see what is lost' },
    runs: { type: 'string', valueHint: 'N', description: 'Trainings of each; default 3, in the paper 5' },
    steps: { type: 'string', valueHint: 'N', description: "Steps of a training, in place of the protocol's" },
    lr: { type: 'string', valueHint: 'X', description: "Learning rate, in place of the protocol's" },
    seed: { type: 'string', valueHint: 'N', default: '0', description: 'Same seed, same adapter: same result' },
  },
  async ({ run: folder, data: path, 'hold-out': fraction, students: names, protocol: name, whole, ...numbers }) => {
    const protocol = protocolOf(name, numbers)
    const [seed, holdOut] = [integer('seed', numbers.seed), holdOutOf(fraction)]
    const known = names.split(',').map(checkName)
    const device = await openDevice()
    try {
      const run = await reopenRun(folder, device)
      try {
        const set = run.result as DistilledSet
        const [, channels, height, width] = set.images.shape as [number, number, number, number]
        const task = { channels, size: [height, width] as const, classes: set.classNames.length }
        const students = known.map((name) => studentByName(name, task))
        const data = { path, holdOut, run: folder, config: await readRunConfig(folder) }
        const { train, test } = await dataToEvaluate(data, set)
        await run.compare({ train, test, students, seed, wholeDataset: whole ?? false, ...protocol })
      } finally {
        run.close()
      }
    } finally {
      device.destroy()
    }
  },
)

/** The protocol of that name, with what was asked for otherwise. */
function protocolOf(
  name: string,
  { runs, steps, lr }: Readonly<Partial<Record<'runs' | 'steps' | 'lr', string | undefined>>>,
): TrainingProtocol & { runs?: number } {
  const { epochs, ...rest } = name === 'paper' ? paperProtocol() : {}
  return {
    ...rest,
    ...(steps !== undefined ? { steps: countOf('steps', steps) } : epochs !== undefined ? { epochs } : {}),
    ...(lr !== undefined ? { learningRate: positiveNumber('lr', lr) } : {}),
    ...(runs !== undefined ? { runs: countOf('runs', runs) } : {}),
  }
}

function checkName(name: string): StudentName {
  const known = studentNames.find((n) => n.toLowerCase() === name.trim().toLowerCase())
  if (!known) throw optionError(`--students names '${name}'.`, `Known: ${studentNames.join(', ')}.`)
  return known
}
