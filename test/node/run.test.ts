import { spawn } from 'node:child_process'
import fs, { existsSync } from 'node:fs'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { tensor } from '../../src/autograd/index.ts'
import { createStreamedDataset } from '../../src/data/index.ts'
import type { Device } from '../../src/gpu/index.ts'
import { decodePng } from '../../src/io/index.ts'
import {
  type DistillOptions,
  type DistillProgress,
  distill,
  distilledFromSafetensors,
  dm,
  Prior,
} from '../../src/ld3m/index.ts'
import { convNet } from '../../src/models/index.ts'
import {
  accuracyText,
  type CompareOptions,
  openRun,
  openRunDirectory,
  Run,
  type RunMetrics,
  readRunResult,
  reopenRun,
} from '../../src/node/index.ts'
import { testDevice } from '../support/device.ts'
import { tinyDataset, tinyPrior } from '../support/tiny.ts'

let device: Device
let folder: string
beforeAll(async () => {
  device = await testDevice()
  folder = await mkdtemp(join(tmpdir(), 'ld3m-run-'))
})
afterAll(() => rm(folder, { recursive: true }))

const student = convNet({ channels: 1, size: 8, classes: 2, depth: 2, width: 4 })
const optionsOf = (): DistillOptions => ({
  ...{ dataset: tinyDataset(), prior: tinyPrior(device), student, objective: dm(), imagesPerClass: 2, steps: 4 },
  diffusion: { steps: 2 },
  augmentation: ['color'],
})
const comparison = ({ dataset }: DistillOptions) => ({ train: dataset, test: dataset, students: [student], steps: 3 })
const FILES = ['config.json', 'distilled.safetensors', 'images.png', 'metrics.json', 'report.html']
const json = async <T>(path: string): Promise<T> => JSON.parse(await readFile(path, 'utf8')) as T

describe('a run', () => {
  test('leaves images, tensors, options, metrics and a report', async () => {
    const directory = join(folder, 'whole')
    const options = optionsOf()
    const run = await openRun(directory, device)
    const set = await run.record(options, distill({ ...options, signal: run.signal, onProgress: run.onProgress }))
    const accuracy = await run.compare({ ...comparison(options), runs: 2 })

    expect((await readdir(directory)).sort()).toEqual(FILES)
    const metrics = await json<RunMetrics>(join(directory, 'metrics.json'))
    expect(metrics).toMatchObject({ status: 'finished', adapter: device.info.description, iterations: 4 })
    expect(metrics.loss.length).toBe(4)
    expect(metrics.seconds).toBeGreaterThan(0)
    expect(metrics.accuracy.distilled['ConvNet-2']?.runs.length).toBe(2)
    expect(metrics.accuracy.randomReal['ConvNet-2']?.runs.length).toBe(2)
    expect(metrics.accuracy).toEqual(accuracy)
    expect(distilledFromSafetensors(await readFile(join(directory, 'distilled.safetensors')))).toEqual(set)
    const config = await json<Record<string, unknown>>(join(directory, 'config.json'))
    expect(config).toMatchObject({ imagesPerClass: 2, steps: 4, objective: { name: 'DM' }, dataset: { name: 'tiny' } })
    const png = decodePng(await readFile(join(directory, 'images.png')))
    // A row a class: its two initial images, then its two final ones.
    expect(png.width / png.height).toBeCloseTo(2, 1)
    const report = await readFile(join(directory, 'report.html'), 'utf8')
    expect(report).toContain('tiny, distilled with LD3M and DM')
    expect(report).toContain('load_file(&quot;distilled.safetensors&quot;)')
    expect(await readRunResult(directory)).toEqual(set)
  })

  test('that is aborted is readable, with the state so far and the reason', async () => {
    const directory = join(folder, 'aborted')
    const options = { ...optionsOf(), steps: 50 }
    const controller = new AbortController()
    const run = await openRun(directory, device)
    const distillation = distill({
      ...options,
      signal: controller.signal,
      onProgress: ({ iteration }) => {
        if (iteration === 2) controller.abort()
      },
    })
    await expect(run.record(options, distillation)).rejects.toThrow(/aborted after 2 of 50/)
    expect((await readdir(directory)).sort()).toEqual([...FILES, 'state.safetensors'].sort())
    const metrics = await json<RunMetrics>(join(directory, 'metrics.json'))
    expect(metrics.status).toMatch(/aborted after 2 of 50/)
    expect(await readFile(join(directory, 'report.html'), 'utf8')).toMatch(/Status<\/dt><dd>[^<]*aborted after 2 of 50/)
    expect(metrics.loss.length).toBe(2)
    expect(distilledFromSafetensors(await readFile(join(directory, 'distilled.safetensors'))).loss.length).toBe(2)
  })

  test('that was aborted goes on, and ends as if it had not been', async () => {
    const directory = join(folder, 'resumed')
    const options = optionsOf()
    const whole = await distill(options)
    const controller = new AbortController()
    const first = await openRun(directory, device)
    const stopped = distill({ ...options, signal: controller.signal, onProgress: () => controller.abort() })
    await expect(first.record(options, stopped)).rejects.toThrow(/aborted after 1 of 4/)
    const { seconds } = await json<RunMetrics>(join(directory, 'metrics.json'))

    const second = await reopenRun(directory, device)
    const again = { ...options, resume: await second.savedState() }
    expect(await second.record(again, distill(again))).toEqual(whole)
    await second.finish()
    expect((await readdir(directory)).sort()).toEqual(FILES)
    const metrics = await json<RunMetrics>(join(directory, 'metrics.json'))
    expect(metrics.loss).toEqual(whole.loss)
    expect(metrics.seconds).toBeGreaterThan(seconds)
    await expect(second.savedState()).rejects.toThrow(/Cannot read .*state.safetensors.*start again/)
  })

  test('is saved also where its pictures and its report cannot be made, which is told once', async () => {
    const directory = join(folder, 'not shown')
    const options = optionsOf()
    const run = await openRun(directory, device)
    await writeFile(join(directory, 'report.html'), 'of an earlier run')
    const distilled = await distill(options)
    const { shape, data } = distilled.initialImages
    const initialImages = { shape, data: data.slice().fill(Number.NaN) }
    let told = ''
    const write = process.stderr.write
    process.stderr.write = ((text: string) => {
      told += text
      return true
    }) as typeof write
    try {
      await run.record(options, Promise.resolve({ ...distilled, initialImages }))
      await run.finish()
    } finally {
      process.stderr.write = write
    }
    expect(told).toMatch(/^images\.png could not be made: .*NaN.*\nreport\.html could not be made: .*NaN.*\n$/)
    expect((await readdir(directory)).sort()).toEqual(['config.json', 'distilled.safetensors', 'metrics.json'])
    expect(await json<RunMetrics>(join(directory, 'metrics.json'))).toMatchObject({ status: 'finished' })
  })

  test('that fails before there is anything to save leaves the earlier one as it was', async () => {
    const directory = join(folder, 'failed')
    const options = optionsOf()
    const controller = new AbortController()
    const first = await openRun(directory, device)
    const stopped = distill({ ...options, signal: controller.signal, onProgress: () => controller.abort() })
    await expect(first.record(options, stopped)).rejects.toThrow(/aborted after 1 of 4/)
    const contents = async () =>
      await Promise.all((await readdir(directory)).sort().map(async (n) => [n, await readFile(join(directory, n))]))
    const before = await contents()

    const { images: _, count: _count, ...info } = tinyDataset()
    const load = () => Promise.reject(new Error('the disk is gone'))
    const unreadable = { ...options, dataset: createStreamedDataset({ ...info, load }) }
    const second = await openRun(directory, device)
    await expect(second.record(unreadable, distill(unreadable))).rejects.toThrow(/the disk is gone/)
    expect(await contents()).toEqual(before)
    // Nor later, when the folder is another's.
    await new Promise((resolve) => setTimeout(resolve, 200))
    expect(await contents()).toEqual(before)
  })

  test('whose comparison is aborted keeps the images and says so', async () => {
    const directory = join(folder, 'not-compared')
    const options = optionsOf()
    const run = await openRun(directory, device)
    const set = await run.record(options, distill(options))
    const comparing = run.compare({ ...comparison(options), steps: 100_000 })
    process.emit('SIGINT')
    await expect(comparing).rejects.toMatchObject({ code: 'aborted' })
    const metrics = await json<RunMetrics>(join(directory, 'metrics.json'))
    expect(metrics.status).toMatch(/The evaluation was aborted/)
    expect(metrics.loss).toEqual(set.loss)
  })

  test('whose comparison is stopped keeps what was trained, and does not train it again', async () => {
    const options = optionsOf()
    const distilled = async (name: string) => {
      const run = await openRun(join(folder, name), device, { saveEvery: 0 })
      await run.record(options, distill(options))
      return run
    }
    const students = [student, convNet({ channels: 1, size: 8, classes: 2, depth: 1, width: 4 })]
    const how = { ...comparison(options), students, runs: 2 }
    const whole = await (await distilled('judged')).compare(how)

    const stopped = await distilled('half-judged')
    const metrics = join(folder, 'half-judged', 'metrics.json')
    // Each training on random real images reads its own, after those that are read to check them.
    let reads = 0
    const { images, count: _count, ...info } = tinyDataset()
    const train = createStreamedDataset({ ...info, load: async (i) => images.slice(i * 64, (i + 1) * 64) })
    const read: typeof train.read = async (indices) => {
      if (++reads === 4) process.emit('SIGINT')
      return await train.read(indices)
    }
    await expect(stopped.compare({ ...how, train: { ...train, read } })).rejects.toMatchObject({ code: 'aborted' })
    const { accuracy } = await json<RunMetrics>(metrics)
    expect(accuracy.distilled).toEqual(whole.distilled)
    expect(accuracy.randomReal['ConvNet-2']).toEqual(whole.randomReal['ConvNet-2'])

    const trained: string[] = []
    const write = process.stdout.write.bind(process.stdout)
    process.stdout.write = (text: string | Uint8Array) => {
      if (`${text}`.includes('evaluating')) trained.push(`${text}`)
      return write(text)
    }
    try {
      expect(await (await reopenRun(join(folder, 'half-judged'), device)).compare(how)).toEqual(whole)
    } finally {
      process.stdout.write = write
    }
    expect(trained.join('')).not.toMatch(/distilled: ConvNet/)
    expect(await json<RunMetrics>(metrics)).toMatchObject({ status: 'finished', accuracy: whole })
  })

  test('keeps accuracies of one evaluation apart from those of another', async () => {
    const directory = join(folder, 'evaluations')
    const options = optionsOf()
    const other = convNet({ channels: 1, size: 8, classes: 2, depth: 1, width: 4 })
    const judge = async (more: Partial<CompareOptions>) => {
      const run = existsSync(directory) ? await reopenRun(directory, device) : await openRun(directory, device)
      if (!run.result) await run.record(options, distill(options))
      const accuracy = await run.compare({ ...comparison(options), runs: 1, ...more })
      return { accuracy, metrics: await json<RunMetrics>(join(directory, 'metrics.json')) }
    }
    const first = await judge({})
    expect(first.metrics.evaluation).toMatchObject({
      test: { name: 'tiny', count: 24 },
      protocol: { steps: 3, batch: 256, momentum: 0.9, learningRate: { 'ConvNet-2': 0.01 } },
      networks: { 'ConvNet-2': { inputShape: [1, 8, 8], parameters: 238 } },
    })
    // Another network, trained and tested alike, and one training more: rows are added.
    const second = await judge({ students: [other] })
    expect(Object.keys(second.accuracy.distilled)).toEqual(['ConvNet-2', 'ConvNet-1'])
    const third = await judge({ runs: 2 })
    expect(third.accuracy.distilled['ConvNet-2']?.runs[0]).toBe(first.accuracy.distilled['ConvNet-2']?.mean)
    expect(third.accuracy.distilled['ConvNet-1']).toEqual(second.accuracy.distilled['ConvNet-1'])
    expect(third.metrics.earlier ?? []).toEqual([])
    const report = await readFile(join(directory, 'report.html'), 'utf8')
    expect(report).toMatch(/tested on 24 real images of tiny/)
    // Another protocol, and a network of that name that is another one.
    const wider = convNet({ channels: 1, size: 8, classes: 2, depth: 2, width: 8 })
    const fourth = await judge({ steps: 4 })
    expect(Object.keys(fourth.accuracy.distilled)).toEqual(['ConvNet-2'])
    const fifth = await judge({ steps: 4, students: [wider] })
    expect(fifth.metrics.earlier?.map(({ accuracy }) => accuracy)).toEqual([third.accuracy, fourth.accuracy])
    expect(fifth.metrics.earlier?.[0]?.evaluation).toEqual(third.metrics.evaluation)
    // As at first: what was trained then is there again.
    const sixth = await judge({ runs: 2 })
    expect(sixth.accuracy).toEqual(third.accuracy)
    expect(sixth.metrics.earlier?.map(({ accuracy }) => accuracy)).toEqual([fourth.accuracy, fifth.accuracy])
    // Images of the same name and number, labelled otherwise.
    const labels = options.dataset.labels.map((label) => 1 - label)
    const seventh = await judge({ test: { ...options.dataset, labels } as typeof options.dataset })
    expect(seventh.metrics.earlier?.length).toBe(3)
  })

  test('is of one process at a time', async () => {
    const directory = join(folder, 'locked')
    await mkdir(directory)
    const mark = async (ago: number) => {
      const then = new Date(Date.now() - ago * 1000)
      await utimes(join(directory, 'run.lock'), then, then)
    }
    // A kill may leave nothing in it; so does a process that is about to write it.
    await writeFile(join(directory, 'run.lock'), '')
    await expect(openRun(directory, device)).rejects.toThrow(/is in use by another process/)
    await mark(60)
    ;(await openRun(directory, device)).close()
    // A process that is there, and then is not.
    const other = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'])
    await writeFile(join(directory, 'run.lock'), `${other.pid} ${hostname()}`)
    await expect(openRun(directory, device)).rejects.toThrow(new RegExp(`is in use by process ${other.pid} on `))
    await writeFile(join(directory, 'run.lock'), `1 elsewhere.${hostname()}`)
    await expect(openRun(directory, device)).rejects.toThrow(/in use by process 1 on elsewhere.*delete .*run.lock/)
    // Another machine's process marks its lock as long as it is there.
    await mark(600)
    const taken = await openRun(directory, device)
    // Nor is it another's of the same process.
    await expect(openRun(directory, device)).rejects.toThrow(new RegExp(`in use by process ${process.pid} on`))
    taken.close()
    // Numbers of processes come again: this process's after a container's start, another's after days.
    await writeFile(join(directory, 'run.lock'), `${process.pid} ${hostname()} 0b0f5bd2-8d4f-4c39-9f0a-1f3d9a1a2b3c`)
    await mark(process.uptime() + 10)
    ;(await openRun(directory, device)).close()
    await writeFile(join(directory, 'run.lock'), `${other.pid} ${hostname()}`)
    await mark(2 * 86_400)
    ;(await openRun(directory, device)).close()
    await writeFile(join(directory, 'run.lock'), `${other.pid} ${hostname()}`)
    const gone = new Promise((resolve) => other.once('exit', resolve))
    other.kill()
    await gone
    const run = await openRun(directory, device)
    expect(await readdir(directory)).toEqual(['run.lock'])
    run.close()
    expect(await readdir(directory)).toEqual([])
  })

  test('is of one process, also where two take over what a third has left', async () => {
    const directory = join(folder, 'taken-over')
    await mkdir(directory)
    const gone = spawn(process.execPath, ['-e', ''])
    await new Promise((resolve) => gone.once('exit', resolve))
    await writeFile(join(directory, 'run.lock'), `${gone.pid} ${hostname()}`)
    const opened = await openRunDirectory(directory)
    const { readFileSync } = fs
    let faster: Run | undefined
    const readWhileAnotherOpens = (path: string, encoding: 'utf8') => {
      const text = readFileSync(path, encoding)
      fs.readFileSync = readFileSync
      syncBuiltinESMExports()
      faster = new Run(opened, device)
      return text
    }
    fs.readFileSync = readWhileAnotherOpens as typeof readFileSync
    syncBuiltinESMExports()
    expect(() => new Run(opened, device)).toThrow(new RegExp(`is in use by process ${process.pid} on `))
    expect(await readdir(directory)).toEqual(['run.lock'])
    faster?.close()
    expect(await readdir(directory)).toEqual([])
  })

  test('is not made of a folder of something else', async () => {
    const directory = join(folder, 'photographs')
    await mkdir(join(directory, 'cats'), { recursive: true })
    await mkdir(join(directory, 'dogs'))
    for (const name of ['cats/1.jpg', 'dogs/2.png']) await writeFile(join(directory, name), 'pixels')
    await expect(openRun(directory, device)).rejects.toThrow(
      /photographs is not a run's folder: it holds folders of images/,
    )
    expect((await readdir(directory)).sort()).toEqual(['cats', 'dogs'])
    // What people put beside a run is theirs.
    const own = join(folder, 'annotated')
    const options = optionsOf()
    const run = await openRun(own, device)
    await run.record(options, distill(options))
    run.close()
    await writeFile(join(own, 'notes.txt'), 'the best so far')
    ;(await reopenRun(own, device)).close()
  })

  test('that was interrupted may be made longer', async () => {
    const directory = join(folder, 'longer')
    const options = { ...optionsOf(), steps: 2 }
    const controller = new AbortController()
    const run = await openRun(directory, device)
    const stopped = distill({ ...options, signal: controller.signal, onProgress: () => controller.abort() })
    await expect(run.record(options, stopped)).rejects.toThrow(/aborted after 1 of 2/)
    const again = await reopenRun(directory, device)
    again.checkOptions({ ...options, steps: 3 })
    const longer = { ...options, steps: 3, resume: await again.savedState() }
    let longerState = new Uint8Array()
    const onProgress = async ({ iteration, save }: DistillProgress) => {
      if (iteration === 2) longerState = new Uint8Array(await save())
    }
    const going = distill({ ...longer, onProgress })
    expect(await again.record(longer, going)).toEqual(await distill({ ...options, steps: 3 }))
    await again.finish()
    const done = await reopenRun(directory, device)
    const refused = async (more: Partial<DistillOptions>, message: RegExp) =>
      await expect(done.checkOptions({ ...options, steps: 3, ...more } as DistillOptions)).rejects.toThrow(message)
    await done.checkOptions({ ...options, steps: 3 })
    await refused({ steps: 4 }, /other options: steps \(3 before, 4 now\)/)
    // Of the same names.
    const wider = convNet({ channels: 1, size: 8, classes: 2, depth: 2, width: 8 })
    await refused({ student: wider }, /other options: network.parameters \(238 before, 762 now\), network.shapes/)
    const { prior } = options as { prior: Prior }
    const embedding = tensor(
      device,
      (await prior.embedding.read()).map((v) => v + 1),
      { shape: prior.embedding.shape },
    )
    const retrained = new Prior(device, prior.config, prior.autoencoderState, prior.denoiserState, embedding)
    await refused({ prior: retrained } as Partial<DistillOptions>, /other options: prior.weights/)
    done.close()
    const shorter = distill({ ...longer, steps: 1, resume: longerState })
    await expect(shorter).rejects.toThrow(/2 iterations are done, and steps is 1. Ask for 2 or more/)
  })

  test('is taken up again: compared later, it has a whole report', async () => {
    const directory = join(folder, 'later')
    const options = optionsOf()
    const first = await openRun(directory, device)
    const set = await first.record(options, distill(options))
    await first.finish()
    const before = await json<RunMetrics>(join(directory, 'metrics.json'))
    const config = await json(join(directory, 'config.json'))

    const second = await reopenRun(directory, device)
    expect(second.result).toEqual(set)
    const accuracy = await second.compare({ ...comparison(options), runs: 1 })
    const after = await json<RunMetrics>(join(directory, 'metrics.json'))
    expect(after).toMatchObject({ status: 'finished', iterations: 4, loss: before.loss, accuracy })
    expect(after.seconds).toBeGreaterThan(before.seconds)
    expect(await json(join(directory, 'config.json'))).toEqual(config)
    expect(await readFile(join(directory, 'report.html'), 'utf8')).toContain('tiny, distilled with LD3M and DM')
  })

  test('cannot be taken up where there is none, or where a file is broken', async () => {
    const refused = (name: string, message: RegExp) =>
      expect(reopenRun(join(folder, name), device)).rejects.toMatchObject({
        code: 'data',
        message: expect.stringMatching(message),
      })
    await refused('nowhere', /nowhere is not a run's folder: there is no distilled\.safetensors in it/)
    expect(await readdir(folder)).not.toContain('nowhere')
    await writeFile(join(folder, 'later', 'config.json'), '{')
    await refused('later', /config.json is not JSON/)
  })

  test('goes on, or ends as it was, from whatever a kill leaves in its folder', async () => {
    const directory = join(folder, 'killed')
    const options = { ...optionsOf(), steps: 3 }
    const whole = await distill(options)
    const opened = await openRunDirectory(directory)
    // All files are replaced as wholes: a kill leaves the folder as it is after one of these writes.
    const left: string[] = []
    const writing =
      <T>(write: (name: string, content: T) => Promise<void>) =>
      async (name: string, content: T) => {
        await write(name, content)
        const copy = join(folder, `killed after write ${left.length}`)
        await cp(directory, copy, { recursive: true })
        // The process that has it is gone.
        await rm(join(copy, 'run.lock'), { force: true })
        left.push(copy)
      }
    const [writeBytes, writeJson, writeHtml] = [
      writing(opened.writeBytes),
      writing(opened.writeJson),
      writing(opened.writeHtml),
    ]
    const run = new Run({ ...opened, writeBytes, writeJson, writeHtml }, device, { saveEvery: 0 })
    await run.record(options, distill({ ...options, onProgress: run.onProgress }))
    await run.finish()
    // Six files a save, of three iterations and, without the state, of the end, twice.
    expect(left.length).toBe(3 * 6 + 2 * 5)

    const goneOn: number[] = []
    for (const copy of left) {
      await writeFile(join(copy, '.state.safetensors.0b0f5bd2-8d4f-4c39-9f0a-1f3d9a1a2b3c.tmp'), 'half a file')
      const saved = existsSync(join(copy, 'metrics.json'))
      const again = await (saved ? reopenRun : openRun)(copy, device)
      if (saved && !again.isInterrupted) {
        expect(again.result).toEqual(whole)
        again.close()
        continue
      }
      const resuming = { ...options, ...(saved && { resume: await again.savedState() }) }
      const iterations: number[] = []
      const onProgress = ({ iteration }: { iteration: number }) => void iterations.push(iteration)
      expect(await again.record(resuming, distill({ ...resuming, onProgress }))).toEqual(whole)
      await again.finish()
      goneOn.push(iterations[0] ?? 4)
      expect((await readdir(copy)).sort()).toEqual(FILES)
    }
    // Nothing is saved before the first save is whole; then the state that is written first counts.
    expect(goneOn.slice(0, 24)).toEqual([1, 1, 1, 1, 1, 2, 3, 3, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4])
  })

  test('prints accuracies side by side, with a deviation where there are several trainings', () => {
    const text = accuracyText({
      distilled: {
        ConvNet: { mean: 0.672, std: 0.011, runs: [0.66, 0.68] },
        ViT: { mean: 0.333, std: 0, runs: [0.333] },
      },
      randomReal: { ConvNet: { mean: 0.5, std: 0.02, runs: [0.48, 0.52] } },
    })
    expect(text).toMatch(/ConvNet +67\.2 ± 1\.1 +50\.0 ± 2\.0 +\+17\.2/)
    expect(text).toMatch(/ViT +33\.3 +– +–$/)
  })
})
