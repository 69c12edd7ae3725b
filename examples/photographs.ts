// From a folder of photographs that nobody prepared, `photographs/CLASS/….jpg`, to a report; the folder's path may be given.
// Trains the prior first. Stopped with Ctrl-C and started again, it goes on where it was.
import { dm, splitDataset } from 'ld3m-gpu'
import { openDataset, openDevice, runExperiment, trainPriorFile } from 'ld3m-gpu/node'

const device = await openDevice()
const dataset = await openDataset(process.argv[2] ?? 'photographs', { size: 64 })
const { train, validation: test } = splitDataset(dataset, { validationFraction: 0.1 })
const prior = await trainPriorFile('runs/photographs/prior.safetensors', { device, dataset: train })
await runExperiment('runs/photographs', { train, test, distill: { prior, objective: dm(), steps: 1000 } })

device.destroy()
