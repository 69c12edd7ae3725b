import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { createStreamedDataset, subset } from '../../src/data/index.ts'
import { dataError } from '../../src/errors.ts'
import { decodePng } from '../../src/io/index.ts'
import { trainPriorFile } from '../../src/node/index.ts'
import { testDevice } from '../support/device.ts'
import { folderOf } from '../support/image-files.ts'
import { tinyDataset, tinyRecipe } from '../support/tiny.ts'

const recipe = tinyRecipe({ steps: 20 }, { steps: 5, emaDecay: 0 })

/** What some work printed. */
async function printed(work: () => Promise<unknown>): Promise<string> {
  let text = ''
  const spy = vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    text += chunk
    return true
  })
  try {
    await work()
  } finally {
    spy.mockRestore()
  }
  return text
}

test('trainPriorFile keeps nothing of a stage that explodes, and what was trained before it', async () => {
  const device = await testDevice()
  const folder = await folderOf({})
  const path = join(folder, 'prior.safetensors')
  const dataset = tinyDataset()
  const firstStage = { ...recipe, autoencoderTraining: { ...recipe.autoencoderTraining, learningRate: 100 } }
  const none = await printed(async () => {
    const stopped = trainPriorFile(path, { device, dataset, recipe: firstStage })
    await expect(stopped).rejects.toThrow(/^autoencoder: the loss became/)
  })
  expect(none).not.toContain('What was saved')
  await rm(`${path}.state`, { recursive: true })
  const exploding = { ...recipe, denoiserTraining: { ...recipe.denoiserTraining, learningRate: 1e4 } }
  const first = await printed(async () => {
    const stopped = trainPriorFile(path, { device, dataset, recipe: exploding })
    await expect(stopped).rejects.toThrow(/^denoiser: the loss became \S+ from \S+ at first/)
  })
  expect(first).toMatch(/What was saved is in \S+prior\.safetensors\.state; delete/)
  expect(await readdir(folder)).toEqual(['prior.safetensors.state'])
  const left = ['autoencoder.safetensors', 'latents-000000000000.safetensors']
  expect((await readdir(`${path}.state`)).sort()).toEqual(left)

  // With a lower rate the autoencoder that is there serves.
  const second = await printed(async () => (await trainPriorFile(path, { device, dataset, recipe })).dispose())
  expect(second).not.toMatch(/^autoencoder /m)
  const psnr = Number(/gives 24 training images back at (\S+) dB/.exec(second)?.[1])
  const { reconstruction, curves } = JSON.parse(await readFile(`${path}.training.json`, 'utf8'))
  expect(reconstruction).toEqual({ count: 24, psnr: expect.closeTo(psnr, 1) })
  expect([curves.autoencoder.length, curves.denoiser.length]).toEqual([1, 1])
  // Two columns and three rows of 8×8 pixels, twelve times as large.
  expect(decodePng(await readFile(`${path}.png`))).toMatchObject({ width: 2 * 98 + 2, height: 3 * 98 + 2 })

  // What is measured says nothing of how it was trained.
  const third = await printed(async () => (await trainPriorFile(path, { device, dataset, recipe })).dispose())
  expect(third).toContain('is trained already')
})

test('trainPriorFile that is stopped while it encodes goes on there, and ends with the same prior', async () => {
  const device = await testDevice()
  const folder = await folderOf({})
  const [whole, broken] = [join(folder, 'whole.safetensors'), join(folder, 'broken.safetensors')]
  // More images than are encoded at once.
  const { images, count: _count, ...info } = tinyDataset(1700)
  const dataset = createStreamedDataset({ ...info, load: async (i) => images.slice(i * 64, (i + 1) * 64) })
  const encoded: number[] = []
  const watched = (onRead: () => void) => ({
    ...dataset,
    read: async (indices: ArrayLike<number>) => {
      // Not the check of all images before, 256 at a time.
      if (indices.length > 100 && indices.length !== 256) {
        encoded.push(indices[0] as number)
        onRead()
      }
      return await dataset.read(indices)
    },
  })
  await printed(async () => (await trainPriorFile(whole, { device, dataset, recipe })).dispose())
  const first = await printed(async () => {
    const stopped = trainPriorFile(broken, { device, dataset: watched(() => process.emit('SIGINT')), recipe })
    await expect(stopped).rejects.toThrow(/aborted when 3,200 of 3,400 images were encoded/)
  })
  expect(first).toContain(`The state is in ${broken}.state; the same call goes on from there.`)
  expect((await readdir(`${broken}.state`)).sort()).toEqual([
    'autoencoder.safetensors',
    'latents-000000000000.safetensors',
  ])
  const second = await printed(async () =>
    (await trainPriorFile(broken, { device, dataset: watched(() => undefined), recipe })).dispose(),
  )
  expect(second).not.toMatch(/^autoencoder /m)
  // The first images again, to see that they are the same; then what was missing.
  expect(encoded).toEqual([0, 0, 3200])
  expect(await readFile(broken)).toEqual(await readFile(whole))
  expect(existsSync(`${broken}.state`)).toBe(false)
})

test('trainPriorFile keeps a prior whose picture cannot be written, and judges it when it can', async () => {
  const device = await testDevice()
  const folder = await folderOf({})
  const path = join(folder, 'prior.safetensors')
  const options = { device, dataset: tinyDataset(), recipe }
  await mkdir(`${path}.png`)
  const before = device.memory.current
  const first = await printed(async () => {
    await expect(trainPriorFile(path, options)).rejects.toThrow(/Cannot write \S+prior\.safetensors\.png/)
  })
  expect(first).toContain(`${path} is trained. The next call looks at it again; loadPrior loads it as it is.`)
  expect(device.memory.current).toBe(before)
  const left = ['prior.safetensors', 'prior.safetensors.png', 'prior.safetensors.training.json']
  expect((await readdir(folder)).sort()).toEqual(left)
  expect(JSON.parse(await readFile(`${path}.training.json`, 'utf8'))).not.toHaveProperty('reconstruction')
  await rm(`${path}.png`, { recursive: true })
  const trained = await readFile(path)
  const again = () => printed(async () => (await trainPriorFile(path, options)).dispose())
  expect(await again()).toMatch(/is trained already[\s\S]* dB \(PSNR\)/)
  expect(await readFile(path)).toEqual(trained)
  expect(JSON.parse(await readFile(`${path}.training.json`, 'utf8'))).toHaveProperty('reconstruction')
  expect(existsSync(`${path}.png`)).toBe(true)
  expect(await again()).toBe(`${path} is trained already.\n`)
})

test('trainPriorFile tells all damaged images before it trains, and where a state is that is of other images', async () => {
  const device = await testDevice()
  const path = join(await folderOf({}), 'prior.safetensors')
  const { images, count, ...info } = tinyDataset(150)
  const streamed = (damaged: readonly number[], onLoad: (index: number) => unknown = () => {}) =>
    createStreamedDataset({
      ...info,
      load: async (i) => {
        onLoad(i)
        if (damaged.includes(i)) throw dataError(`Cannot decode ${i}.png.`, 'Replace it.')
        return images.slice(i * 64, (i + 1) * 64)
      },
    })
  const before = await printed(async () => {
    const refused = trainPriorFile(path, { device, dataset: streamed([3, 299]), recipe })
    await expect(refused).rejects.toThrow(
      /^2 images of '.*' cannot be read: Cannot decode 3\.png; Cannot decode 299\.png\./,
    )
  })
  expect(before).not.toMatch(/autoencoder|What was saved/)
  expect(await readdir(`${path}.state`)).toEqual([])
  const interrupted = await printed(async () => {
    const stopped = trainPriorFile(path, {
      device,
      dataset: streamed([], (i) => i === 9 && process.emit('SIGINT')),
      recipe,
    })
    await expect(stopped).rejects.toThrow(/aborted when 256 of 300 images were read\. Call it again to begin/)
  })
  expect(interrupted).not.toContain('The state is in')

  const exploding = { ...recipe, denoiserTraining: { ...recipe.denoiserTraining, learningRate: 1e4 } }
  await printed(async () => {
    await expect(trainPriorFile(path, { device, dataset: streamed([]), recipe: exploding })).rejects.toThrow(
      /^denoiser/,
    )
  })
  const other = await printed(async () => {
    const refused = trainPriorFile(path, {
      device,
      dataset: subset(streamed([]), [...Array(count - 1).keys()]),
      recipe,
    })
    await expect(refused).rejects.toThrow(/saved state is of another training .*dataset\.count \(300 before, 299 now\)/)
  })
  expect(other).toMatch(/What was saved is in \S+prior\.safetensors\.state; delete/)
})

test('trainPriorFile is refused while another process trains the same prior', async () => {
  const device = await testDevice()
  const folder = await folderOf({})
  const path = join(folder, 'prior.safetensors')
  const lock = join(`${path}.state`, 'run.lock')
  await mkdir(`${path}.state`)
  const other = `${process.ppid} ${hostname()}`
  await writeFile(lock, other)
  const training = { device, dataset: tinyDataset(), recipe }
  await expect(trainPriorFile(path, training)).rejects.toThrow(
    new RegExp(`prior\\.safetensors\\.state is in use by process ${process.ppid} on `),
  )
  expect(await readdir(folder)).toEqual(['prior.safetensors.state'])
  expect(await readFile(lock, 'utf8')).toBe(other)

  // Its own lock is there while it trains, and gone with an error.
  let locked = false
  const { images, count: _count, ...info } = tinyDataset()
  const load = async (): Promise<never> => {
    locked = existsSync(lock)
    throw new Error('no disk')
  }
  await rm(lock)
  await printed(async () => {
    const failing = trainPriorFile(path, { ...training, dataset: createStreamedDataset({ ...info, load }) })
    await expect(failing).rejects.toThrow(/no disk/)
  })
  expect([locked, await readdir(`${path}.state`)]).toEqual([true, []])
})
