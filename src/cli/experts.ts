import process from 'node:process'
import { trainExperts } from '../ld3m/index.ts'
import { expertsFolder, interruptible, openDevice, ProgressLine, showExperts } from '../node/index.ts'
import { counted } from '../words.ts'
import { command, countOf, integer, positiveNumber } from './arguments.ts'
import { CHANNELS, CLASSES, DATA_KINDS, imageSizes, trainingImages } from './data.ts'
import { HOLD_OUT, holdOutOf } from './hold-out.ts'

/** An epoch of fewer is less than the steps of a student, whose end is matched to the expert's. */
const FEW_STEPS = 5

export const expertsCommand = command(
  'experts',
  'Train the experts of trajectory matching; run again, it goes on where it was stopped',
  {
    data: {
      type: 'string',
      valueHint: 'PATH',
      required: true,
      description: `Training images: ${DATA_KINDS}`,
    },
    classes: CLASSES,
    'hold-out': HOLD_OUT,
    out: { type: 'string', valueHint: 'DIR', required: true, description: 'Where experts are saved' },
    size: { type: 'string', valueHint: 'N', description: "Sides of the images, as the prior's; default as they are" },
    ...CHANNELS,
    count: { type: 'string', valueHint: 'N', default: '10', description: 'Experts in all' },
    epochs: {
      type: 'string',
      valueHint: 'N',
      default: '15',
      description: 'Epochs of each; mtt takes 3 at least with its defaults',
    },
    batch: { type: 'string', valueHint: 'N', default: '256', description: 'Images a step' },
    lr: { type: 'string', valueHint: 'X', default: '0.01', description: 'Learning rate' },
    seed: { type: 'string', valueHint: 'N', default: '0', description: 'Same seed, same adapter: same experts' },
  },
  async ({ data: path, classes, 'hold-out': fraction, out, size, channels, count, epochs, batch, lr, seed }) => {
    const options = {
      ...{ count: countOf('count', count), epochs: countOf('epochs', epochs), seed: integer('seed', seed) },
      ...{ batch: countOf('batch', batch), learningRate: positiveNumber('lr', lr) },
    }
    const sizes = imageSizes(size, channels)
    const data = { path, classes, holdOut: holdOutOf(fraction) }
    const device = await openDevice()
    const line = new ProgressLine()
    try {
      const { dataset } = await trainingImages(data, sizes)
      const steps = Math.ceil(dataset.count / options.batch)
      if (steps < FEW_STEPS) {
        process.stdout.write(
          `An epoch is ${counted(steps, 'step')}: experts hardly move in it. A smaller --batch gives more.\n`,
        )
      }
      const onProgress = showExperts(line)
      const experts = await interruptible(
        (signal) => trainExperts({ ...{ device, dataset, store: expertsFolder(out), signal, ...options }, onProgress }),
        line,
      )
      const { epochs } = experts.manifest.training
      process.stdout.write(`${counted(experts.count, 'expert')} of ${counted(epochs, 'epoch')} in ${out}\n`)
    } finally {
      line.end()
      device.destroy()
    }
  },
)
