import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import process from 'node:process'
import { dataError, optionError } from '../errors.ts'
import { type DistilledSet, distilledFromSafetensors, evaluate, randomReal } from '../ld3m/index.ts'
import { type StudentName, studentByName, studentNames } from '../models/index.ts'
import { accuracyText, openDevice, openRun } from '../node/index.ts'
import { command, integer } from './arguments.ts'
import { loadData } from './data.ts'

export const evaluateCommand = command(
  'evaluate',
  'Train networks on distilled and on as many random real images, and test both on real ones',
  {
    run: { type: 'string', valueHint: 'DIR', required: true, description: 'A folder that distill saved' },
    data: { type: 'string', valueHint: 'DIR', required: true, description: 'IDX files of both splits' },
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
    const set = await readSet(join(folder, 'distilled.safetensors'))
    const [count, channels, height, width] = set.images.shape as [number, number, number, number]
    const classes = set.classNames.length
    const students = names
      .split(',')
      .map((name) => studentByName(checkName(name), { channels, size: [height, width], classes }))
    const train = await loadData(data, 'train', height)
    const test = await loadData(data, 'test', height)
    const device = await openDevice()
    try {
      const run = await openRun(folder, device)
      const protocol = {
        ...{ device, test, normalization: set.normalization, students, runs, steps, seed },
        signal: run.signal,
      }
      const real = (draw: number) => randomReal(train, count / classes, draw)
      const accuracy = {
        distilled: await evaluate({ ...protocol, train: set, onProgress: run.onEvaluate('distilled') }),
        randomReal: await evaluate({ ...protocol, train: real, onProgress: run.onEvaluate('random real') }),
      }
      await run.directory.writeJson('accuracy.json', accuracy)
      run.close()
      process.stdout.write(`\n${accuracyText(accuracy)}\n\nSaved to ${run.directory.pathOf('accuracy.json')}\n`)
    } finally {
      device.destroy()
    }
  },
)

async function readSet(path: string): Promise<DistilledSet> {
  let bytes: Uint8Array
  try {
    bytes = await readFile(path)
  } catch (cause) {
    throw dataError(`Cannot read ${path}: ${(cause as Error).message}.`, 'Name the folder of a finished run.', cause)
  }
  return distilledFromSafetensors(bytes)
}

function checkName(name: string): StudentName {
  const known = studentNames.find((n) => n.toLowerCase() === name.trim().toLowerCase())
  if (!known) throw optionError(`--students names '${name}'.`, `Known: ${studentNames.join(', ')}.`)
  return known
}
