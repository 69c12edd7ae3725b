import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { watch } from 'node:fs'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, expect, onTestFinished, test } from 'vitest'
import { selectClasses, takePerClass } from '../../src/data/index.ts'
import { readSafetensors, writeIdx } from '../../src/io/index.ts'
import { trainExperts } from '../../src/ld3m/index.ts'
import { expertsFolder, loadIdx } from '../../src/node/index.ts'
import { testDevice } from '../support/device.ts'
import { folderOf } from '../support/image-files.ts'

const STEPS = 10
const FILES = ['config.json', 'distilled.safetensors', 'images.png', 'metrics.json', 'report.html']

/**
 * When a process is killed, once it has saved an iteration: as this file is being written, or anywhere in the next
 * iteration.
 */
type Moment = 'state.safetensors' | 'distilled.safetensors' | 'metrics.json' | 'anywhere'

const saving = (out: string, resumes: boolean) => [
  ...['--steps', `${STEPS}`, '--save-every', '0', '--out', out],
  ...(resumes ? ['--resume'] : []),
]

let data: string
let experts: string
beforeAll(async () => {
  data = await mkdtemp(join(tmpdir(), 'ld3m-kill-'))
  experts = join(data, 'experts')
  const { images, labels, count, height, width } = takePerClass(await loadIdx('assets/fashion-mnist'), 20)
  const write = (name: string, shape: number[], bytes: ArrayLike<number>) =>
    writeFile(join(data, name), writeIdx({ shape, data: Uint8Array.from(bytes) }))
  await write('train-images-idx3-ubyte', [count, height, width], images)
  await write('train-labels-idx1-ubyte', [count], labels)
  const dataset = selectClasses(await loadIdx(data), ['0', '1'])
  await trainExperts({ device: await testDevice(), dataset, store: expertsFolder(experts), count: 2, epochs: 3 })
  return () => rm(data, { recursive: true })
})

const task = () => ['src/cli/main.ts', 'distill', '--data', data, '--classes', '0,1']

function start(args: readonly string[]) {
  const child = spawn(process.execPath, ['--import', './scripts/register.mjs', ...args], { stdio: 'pipe' })
  onTestFinished(() => void child.kill('SIGKILL'))
  let printed = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (printed += chunk))
  const ended = once(child, 'close').then(([code, signal]) => ({ code, signal, printed }))
  return { child, ended }
}

/** Iterations in the state that a run would go on from. */
async function savedIterations(folder: string): Promise<number> {
  const { metadata } = readSafetensors(await readFile(join(folder, 'state.safetensors')), 'the state')
  return JSON.parse(metadata.loss as string).length
}

/**
 * Kills a process that saves after every iteration.
 * @returns how many saves it was seen to finish, and what it printed
 */
async function kill(moment: Moment, folder: string, { child, ended }: ReturnType<typeof start>) {
  let saves = 0
  let [lastSave, iteration] = [performance.now(), 0]
  const watcher = watch(folder, (_event, name) => {
    if (name === 'metrics.json') {
      saves++
      iteration = performance.now() - lastSave
      lastSave = performance.now()
      if (moment === 'anywhere' && saves === 2) setTimeout(() => child.kill('SIGKILL'), iteration * Math.random())
    } else if (saves > 0 && name?.startsWith(`.${moment}.`)) child.kill('SIGKILL')
  })
  const { signal, printed } = await ended
  watcher.close()
  expect(signal, printed).toBe('SIGKILL')
  return { saves, printed }
}

/** The iteration that a process was the first to do. */
const firstIteration = (printed: string): number => Number(/distilling .*? (\d+)\/\d+/.exec(printed)?.[1])

test.each<[string, Moment[], (folder: string, resumes: boolean) => string[]]>([
  [
    'distribution matching with a prior',
    ['state.safetensors', 'anywhere'],
    (out, resumes) => {
      const prior = ['--prior', 'assets/priors/fashion-mnist.safetensors', '--timesteps', '1']
      return [...task(), ...prior, ...saving(out, resumes)]
    },
  ],
  [
    'gradient matching with a network that is kept',
    ['state.safetensors', 'metrics.json', 'anywhere'],
    (out) => ['test/support/experiment-process.ts', out, `${STEPS}`],
  ],
  [
    'trajectory matching',
    ['distilled.safetensors', 'anywhere'],
    (out, resumes) => {
      const matching = ['--space', 'pixel', '--objective', 'mtt', '--experts', experts]
      return [...task(), ...matching, ...saving(out, resumes)]
    },
  ],
])(
  'killed in the middle and while it saves, %s ends with the bytes of a run that was not',
  async (_, moments, argsOf) => {
    const [whole, broken] = [await folderOf({}), await folderOf({})]
    const reference = start(argsOf(whole, false)).ended
    let saved = 0
    for (const moment of moments) {
      const { saves, printed } = await kill(moment, broken, start(argsOf(broken, saved > 0)))
      expect(firstIteration(printed)).toBe(saved + 1)
      const before = saved
      saved = await savedIterations(broken)
      // Every save that was seen is there.
      expect(saved).toBeGreaterThanOrEqual(before + saves)
      expect(saves).toBeGreaterThan(0)
    }
    const last = await start(argsOf(broken, true)).ended
    expect(last.code, last.printed).toBe(0)
    expect(firstIteration(last.printed)).toBe(saved + 1)
    expect((await reference).code, (await reference).printed).toBe(0)
    const bytes = (folder: string) => readFile(join(folder, 'distilled.safetensors'))
    expect(await bytes(broken)).toEqual(await bytes(whole))
    expect((await readdir(broken)).sort()).toEqual(FILES)
  },
  300_000,
)
