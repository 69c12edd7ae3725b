import { readdir, readFile, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { IMAGENET_STATISTICS, IMAGENET_SUBSETS, imagenetSubset } from '../../src/data/index.ts'
import type { Device } from '../../src/gpu/index.ts'
import { distilledFromSafetensors, type PaperRecipe, type PriorConfig, paperRecipe } from '../../src/ld3m/index.ts'
import { alexNet, convNet } from '../../src/models/index.ts'
import { reproduce } from '../../src/node/index.ts'
import { testDevice } from '../support/device.ts'
import { folderOf, plain, png } from '../support/image-files.ts'
import { tinyConfig, tinyPrior } from '../support/tiny.ts'

let device: Device
beforeAll(async () => {
  device = await testDevice()
})

/** ImNet-A and one class beside it, as ImageNet's folders have them. */
async function fakeImagenet(): Promise<string> {
  const wnids = ['n01440764', ...imagenetSubset('imagenet-a').map(({ wnid }) => wnid)]
  const files: Record<string, Uint8Array> = {}
  for (const [k, wnid] of wnids.entries()) {
    for (const [part, count] of [
      ['train', 4],
      ['val', 2],
    ] as const) {
      for (let i = 0; i < count; i++) {
        files[`${part}/${wnid}/${i}.png`] = await png(plain(20 * k, (50 * i) % 256, 255 - 20 * k, 20 + i, 18))
      }
    }
  }
  return await folderOf(files)
}

const colour: PriorConfig = {
  ...{ ...tinyConfig, classes: 1000, image: { channels: 3, height: 32, width: 32 } },
  autoencoder: {
    ...(tinyConfig.autoencoder as Extract<PriorConfig['autoencoder'], { codebookSize: number }>),
    channels: 3,
  },
}
const { contextDim: _contextDim, ...unconditional } = colour.denoiser
const faces: PriorConfig = { ...colour, name: 'faces', classes: 0, denoiser: unconditional }

async function saved(config: PriorConfig): Promise<string> {
  const prior = tinyPrior(device, config)
  const folder = await folderOf({})
  const file = join(folder, 'prior.safetensors')
  await writeFile(file, await prior.toSafetensors())
  prior.dispose()
  return file
}

/** A row, smaller and shorter. */
function shrunk(recipe: PaperRecipe): PaperRecipe {
  const task = { channels: 3, size: 16, classes: 10 }
  const student = convNet({ ...task, depth: 2, width: 4 })
  const students = [student, alexNet({ ...task, widths: [4, 4] })]
  const { distill, evaluate, choose, experts } = recipe
  const brief = { students, epochs: 2, runs: 1 }
  const smaller = { student, imagesPerClass: 1, steps: 4, realBatch: 2, learningRate: 0.1 }
  return {
    ...{ ...recipe, size: 16 },
    distill:
      distill.space === 'autoencoder'
        ? { ...distill, ...smaller }
        : { ...distill, ...smaller, diffusion: { ...distill.diffusion, steps: 2 } },
    evaluate: { ...evaluate, ...brief },
    choose: { ...choose, ...brief, every: 2, validationFraction: 0.25 },
    ...(experts && { experts: { ...experts, student, count: 2, epochs: 4, batch: 8 } }),
  }
}

const json = async (...path: string[]) => JSON.parse(await readFile(join(...path), 'utf8'))

describe('reproduce', () => {
  test('goes from folders of images and a checkpoint to accuracies of unseen networks', async () => {
    const [imagenet, checkpoint, out] = [await fakeImagenet(), await saved(colour), join(await folderOf({}), 'run')]
    const recipe = shrunk(paperRecipe({ table: 4, subset: 'imagenet-a', objective: 'dm', imagesPerClass: 10 }))
    const { mean, accuracy, chosen } = await reproduce(recipe, { imagenet, checkpoint, out, device, seed: 2 })
    const means = Object.values(accuracy.distilled).map((of) => of.mean)
    expect(Object.keys(accuracy.distilled)).toEqual(['ConvNet-2', 'AlexNet'])
    expect(mean).toBeCloseTo((means[0] as number) / 2 + (means[1] as number) / 2, 12)
    expect([2, 4]).toContain(chosen?.iteration)

    expect(await json(out, 'recipe.json')).toMatchObject({ name: 'table4-imagenet-a-dm', published: { mean: 57 } })
    const config = await json(out, 'config.json')
    expect(config).toMatchObject({ priorClasses: IMAGENET_SUBSETS['imagenet-a'], seed: 2 })
    // A quarter of four images a class is for validation.
    expect(config.dataset).toMatchObject({ name: 'imagenet-a', count: 30, height: 16 })
    expect(config.prior.image.height).toBe(16)
    expect((await json(out, 'metrics.json')).status).toBe('finished')
    const set = distilledFromSafetensors(await readFile(join(out, 'distilled.safetensors')))
    expect(set.images.shape).toEqual([10, 3, 16, 16])
    expect(set.classNames).toEqual(imagenetSubset('imagenet-a').map(({ name }) => name))
    expect(set.normalization.mean).toEqual(IMAGENET_STATISTICS.mean.map(Math.fround))

    // Judged again, also where other networks were compared in the meantime, it comes to the same number.
    const metrics = await json(out, 'metrics.json')
    metrics.accuracy.distilled.Other = { mean: 1, std: 0, runs: [1] }
    await writeFile(join(out, 'metrics.json'), JSON.stringify(metrics))
    const again = await reproduce(recipe, { imagenet, checkpoint, out, device, seed: 2 })
    expect(again.accuracy.distilled.Other?.mean).toBe(1)
    expect(again.mean).toBe(mean)
  })

  test("writes nothing over another row's record, into a dataset, or where another process is", async () => {
    const [imagenet, checkpoint] = [await fakeImagenet(), await saved(colour)]
    const recipe = shrunk(paperRecipe({ table: 3, subset: 'imagenet-a', objective: 'mtt', imagesPerClass: 1 }))
    const refused = async (files: Record<string, string>, message: RegExp) => {
      const out = await folderOf(files)
      await expect(reproduce(recipe, { imagenet, checkpoint, out, device })).rejects.toThrow(message)
      expect(await readdir(out)).toEqual(Object.keys(files))
      for (const [name, text] of Object.entries(files)) expect(await readFile(join(out, name), 'utf8')).toBe(text)
    }
    await refused(
      { 'recipe.json': '{"name":"table4-imagenet-a-dm"}' },
      /holds the run of table4-imagenet-a-dm, not of /,
    )
    await refused({ 'recipe.json': '{' }, /recipe.json is not JSON/)
    await refused({ 'config.json': '{}', 'metrics.json': '{}' }, /holds a run that reproduce did not begin/)
    await refused({ 'run.lock': `${process.ppid} ${hostname()}` }, /is in use by process/)
    const into = { imagenet, checkpoint, out: join(imagenet, 'train'), device }
    await expect(reproduce(recipe, into)).rejects.toThrow(/train is not a run's folder: it holds folders of images/)
    expect(await readdir(into.out)).toHaveLength(11)
  })

  test('trains the experts of a row that matches trajectories', async () => {
    const [imagenet, checkpoint, out] = [await fakeImagenet(), await saved(colour), join(await folderOf({}), 'run')]
    const recipe = shrunk(paperRecipe({ table: 3, subset: 'imagenet-a', objective: 'mtt', imagesPerClass: 1 }))
    const { set } = await reproduce(recipe, { imagenet, checkpoint, out, device })
    expect((await json(out, 'experts', 'manifest.json')).experts.length).toBe(2)
    expect(set.studentLearningRate).toBeGreaterThan(0)
    expect((await json(out, 'config.json')).objective).toMatchObject({ name: 'MTT', legacy: ['half-gradient'] })
  })

  test('draws the denoiser of a random generator, and takes only the generator that the row names', async () => {
    const imagenet = await fakeImagenet()
    const row = { table: 5, subset: 'imagenet-a', objective: 'dc', imagesPerClass: 1 } as const
    const random = shrunk(paperRecipe({ ...row, variant: 'random' }))
    const out = join(await folderOf({}), 'run')
    const { set } = await reproduce(random, { imagenet, checkpoint: await saved(faces), out, device })
    expect(set.latents?.shape).toEqual([10, 2, 8, 8])
    expect((await json(out, 'config.json')).prior.name).toBe('faces, random denoiser')

    const elsewhere = { imagenet, out: `${out}-2`, device }
    const foreign = await saved(colour)
    const before = device.memory.current
    await expect(reproduce(random, { ...elsewhere, checkpoint: foreign })).rejects.toThrow(
      /generator is of random.*1000 classes.*faces/,
    )
    expect(device.memory.current).toBe(before)
    const ofImagenet = shrunk(paperRecipe({ ...row, variant: 'imagenet' }))
    await expect(reproduce(ofImagenet, { ...elsewhere, checkpoint: await saved(faces) })).rejects.toThrow(
      /generator is of imagenet.*'faces' has 0 classes/,
    )
    const cifar = paperRecipe({ table: 2, subset: 'cifar-10', objective: 'dm', imagesPerClass: 1 })
    await expect(reproduce(cifar, { ...elsewhere, checkpoint: 'x' })).rejects.toThrow(/cifar is missing/)
  })
})
