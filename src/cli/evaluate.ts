import { optionError } from '../errors.ts'
import type { DistilledSet } from '../ld3m/index.ts'
import { type StudentName, studentByName, studentNames } from '../models/index.ts'
import { openDevice, reopenRun } from '../node/index.ts'
import { command, integer } from './arguments.ts'
import { DATA_KINDS, dataToEvaluate } from './data.ts'

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
    students: {
      type: 'string',
      valueHint: 'A,B',
      default: studentNames.join(','),
      description: 'Architectures to train',
    },
    runs: { type: 'string', valueHint: 'N', default: '3', description: 'Trainings of each' },
    steps: { type: 'string', valueHint: 'N', default: '300', description: 'Steps of a training' },
    seed: { type: 'string', valueHint: 'N', default: '0', description: 'Same seed, same adapter: same result' },
  },
  async ({ run: folder, data, students: names, ...numbers }) => {
    const runs = integer('runs', numbers.runs)
    const steps = integer('steps', numbers.steps)
    const seed = integer('seed', numbers.seed)
    const known = names.split(',').map(checkName)
    const device = await openDevice()
    try {
      const run = await reopenRun(folder, device)
      const set = run.result as DistilledSet
      const [, channels, height, width] = set.images.shape as [number, number, number, number]
      const task = { channels, size: [height, width] as const, classes: set.classNames.length }
      const students = known.map((name) => studentByName(name, task))
      const train = await dataToEvaluate(data, 'train', set)
      const test = await dataToEvaluate(data, 'test', set)
      await run.compare({ train, test, students, runs, steps, seed })
    } finally {
      device.destroy()
    }
  },
)

function checkName(name: string): StudentName {
  const known = studentNames.find((n) => n.toLowerCase() === name.trim().toLowerCase())
  if (!known) throw optionError(`--students names '${name}'.`, `Known: ${studentNames.join(', ')}.`)
  return known
}
