import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { runCli } from '../../src/cli/cli.ts'
import { decodePng, writeIdx, writeSafetensors } from '../../src/io/index.ts'
import { distilledFromSafetensors, distilledToNpz, distilledToSafetensors } from '../../src/ld3m/index.ts'
import { testDevice } from '../support/device.ts'
import { randomSet } from '../support/distilled.ts'
import { folderOf, picture, png } from '../support/image-files.ts'
import { tinyDataset, tinyPrior } from '../support/tiny.ts'
import { dict, global, legacyFile, pickle, text } from '../support/torch-file.ts'

let folder: string
let data: string
let prior: string

beforeAll(async () => {
  folder = data = await mkdtemp(join(tmpdir(), 'ld3m-cli-'))
  const { images, labels, count } = tinyDataset()
  const plain = (bytes: Uint8Array) => new Uint8Array(bytes)
  for (const split of ['train', 't10k']) {
    await writeFile(join(data, `${split}-images-idx3-ubyte`), writeIdx({ shape: [count, 8, 8], data: plain(images) }))
    await writeFile(
      join(data, `${split}-labels-idx1-ubyte`),
      writeIdx({ shape: [count], data: plain(Uint8Array.from(labels)) }),
    )
  }
  prior = join(folder, 'prior.safetensors')
  const tiny = tinyPrior(await testDevice())
  await writeFile(prior, await tiny.toSafetensors())
  tiny.dispose()
})

afterAll(() => rm(folder, { recursive: true, force: true }))

/** Runs a command in this process, with what it printed. */
async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const capture = (stream: NodeJS.WriteStream) => {
    let text = ''
    const spy = vi.spyOn(stream, 'write').mockImplementation((chunk) => {
      text += chunk
      return true
    })
    return () => {
      spy.mockRestore()
      return text
    }
  }
  const endOut = capture(process.stdout)
  const endErr = capture(process.stderr)
  let code: number
  try {
    code = await runCli('1.2.3', args)
  } finally {
    endOut()
    endErr()
  }
  return { code, out: endOut(), err: endErr() }
}

describe('ld3m-gpu', () => {
  test('lists the tensors of a checkpoint, and refuses what a file would have run', async () => {
    const goldens = fileURLToPath(new URL('../golden/checkpoints/', import.meta.url))
    const { code, out } = await run('inspect', join(goldens, 'lightning.pt'))
    expect(code).toBe(0)
    expect(out).toMatch(/^0\.weight +F32 +\[2, 3\]\n/)
    expect(out).toMatch(
      /\nPyTorch: 7 tensors, 17 parameters, 72 B\nBeside them: epoch, global_step, .*hyper_parameters\n$/,
    )
    expect((await run('inspect', prior)).out).toMatch(
      /\nsafetensors: \d+ tensors, [\d,]+ parameters, .*\nMetadata: config\n$/,
    )
    const evil = await run('inspect', join(goldens, 'evil.pt'))
    expect([evil.code, evil.out]).toEqual([1, ''])
    expect(evil.err).toMatch(/refers to "posix\.system"/)
    expect((await run('inspect', join(goldens, 'evil.pt'), '--inert', 'posix.system')).out).toMatch(
      /Beside them: hparams/,
    )
    expect((await run('inspect')).err).toMatch(/Missing required positional argument: FILE/)
    expect((await run('inspect', prior, prior)).err).toMatch(/belongs to no option/)
  })

  test("a file's names do not control the terminal", async () => {
    const file = join(folder, 'names.safetensors')
    const tensor = { dtype: 'U8', shape: [1], data: Uint8Array.of(1) } as const
    await writeFile(file, writeSafetensors(new Map([['\u001b[2J\u009b\u202e', tensor]])))
    expect((await run('inspect', file)).out).toMatch(/^\\u\{1b\}\[2J\\u\{9b\}\\u\{202e\} /)
  })

  test('tells its commands and its version', async () => {
    expect((await run()).out).toMatch(
      /doctor.*\n.*distill.*\n.*evaluate.*\n.*experts.*\n.*export.*\n.*inspect.*\n.*reproduce.*\n.*sample.*\n.*train-prior/,
    )
    expect((await run('distill', '--help')).out).toContain('--objective=<dm|dc|mtt>')
    expect(await run('--version')).toEqual({ code: 0, out: '1.2.3\n', err: '' })
  })

  test.each([
    [
      ['distil'],
      "There is no command 'distil'. Did you mean 'distill'? Commands: doctor, distill, evaluate, experts, export, inspect, reproduce, sample, train-prior.",
    ],
    [['doctor', '--fast'], 'doctor: unknown option --fast. It takes none.'],
    [['distill', '--data', 'x', '--prior', 'y'], 'Missing required argument: --out'],
    [['distill', '--data', 'x', '--out', 'y'], '--space latent-diffusion needs --prior. Name the file of a prior.'],
    [
      ['distill', '--data', 'x', '--out', 'y', '--space', 'pixel', '--guidance', '2'],
      '--space pixel has no diffusion. Leave out --timesteps, --guidance and --residual.',
    ],
    [
      ['distill', '--data', 'x', '--out', 'y', '--space', 'pixel', '--prior', 'z'],
      '--prior is of no use to --space pixel. Leave one of them out.',
    ],
    [['distill', '--data', 'x', '--prior', 'y', '--out', 'z', 'w'], "distill: 'w' belongs to no option. See --help."],
    [['distill', '--data', 'x', '--prior', 'y', '--out'], 'distill: --out has no value. Give one.'],
    [
      ['distill', '--data', 'x', '--prior', 'y', '--out', '--resume'],
      'distill: --out is followed by --resume, not by a value. Give one.',
    ],
    [['distill', '--data', 'x', '--prior', 'y', '--no-out'], 'distill: --out has no value. Give one.'],
    [
      ['distill', '--data', 'x', '--prior', 'y', '--out', 'z', '--no-save-every'],
      'distill: --save-every has no value. Give one.',
    ],
    [
      ['distill', '--data', 'x', '--data', 'y', '--prior', 'z', '--out', 'w'],
      'distill: --data is given twice. Give it once.',
    ],
    [
      ['distill', '--data', 'x', '--prior', 'y', '--out', 'z', '--save-every=1', '--saveEvery', '2'],
      'distill: --save-every is given twice. Give it once.',
    ],
    [
      ['distill', '--data', 'x', '--prior', 'y', '--out', 'z', '--force', '--no-force'],
      'distill: --force is given twice. Give it once.',
    ],
    [
      ['distill', '--data', 'x', '--prior', 'y', '--out', 'z', '--resume', '--force'],
      '--resume goes on with the run in --out, --force replaces it. Leave one of them out.',
    ],
    [
      ['distill', '--data', 'x', '--prior', 'y', '--out', 'nowhere', '--resume'],
      /^nowhere is not a run's folder: there is no config\.json in it\. Name the folder of a distillation/,
    ],
    [
      ['distill', '--data', 'x', '--prior', 'y', '--out', 'z', '--ipc', '1.5'],
      "--ipc is '1.5'. Use a whole number from 1.",
    ],
    [
      ['distill', '--data', 'x', '--prior', 'y', '--out', 'z', '--steps', '0'],
      "--steps is '0'. Use a whole number from 1.",
    ],
    [
      ['distill', '--data', 'x', '--prior', 'y', '--out', 'z', '--seed', 'two'],
      "--seed is 'two'. Use a whole number from 0.",
    ],
    [['sample', '--prior', 'x', '--out', 'y', '--eta', 'none'], "--eta is 'none'. Use a number."],
    [['sample', '--prior', 'x', '--out', 'y.jpg'], "--out is 'y.jpg'. Name a file that ends in .png."],
    [
      ['distill', '--data', 'x', '--out', 'y', '--stpes', '3'],
      /^distill: unknown option --stpes\. Did you mean --steps\? Op/,
    ],
    [['inspect', 'x', '--foo'], 'inspect: unknown option --foo. Options: --inert.'],
    [['evaluate', '--run', 'x', '--data', 'y', '--students', 'GPT'], /^--students names 'GPT'/],
    [
      ['distill', '--data', 'x', '--prior', 'y', '--out', 'z', '--objective', 'mtt'],
      '--objective mtt needs --experts. Make a folder of them with `ld3m-gpu experts`.',
    ],
    [
      ['distill', '--data', 'x', '--prior', 'y', '--out', 'z', '--experts', 'e'],
      '--experts is of no use to --objective dm. Leave it out.',
    ],
    [
      ['distill', '--data', 'x', '--prior', 'y', '--out', 'z', '--objective', 'dc', '--expert-epochs', '1'],
      '--expert-epochs is of no use to --objective dc. Leave it out.',
    ],
    [
      ['distill', '--data', 'x', '--prior', 'y', '--out', 'z', '--outer-loops', '1'],
      '--outer-loops is of no use to --objective dm. Leave it out.',
    ],
    [['reproduce'], 'reproduce: no row is named. See --list.'],
    [['reproduce', 'table9'], /^The paper has no row 'table9'\. The list/],
    [['reproduce', 'table4-imagenet-a-md'], /no row 'table4-imagenet-a-md'\. Did you mean 'table4-imagenet-a-dm'\?/],
    [['reproduce', 'table4-imagenet-a-dm', 'more'], "reproduce: 'more' belongs to no option. See --help."],
    [
      ['reproduce', 'table4-imagenet-a-dm', '--out', 'y'],
      /--checkpoint is missing.*cin256-v2.*nitro\/cin\/model\.ckpt/,
    ],
    [
      ['train-prior', '--data', 'x', '--out', 'y', '--autoencoder', 'z', '--autoencoder-steps', '9'],
      '--autoencoder-steps is of no use with --autoencoder, which is kept. Leave one out.',
    ],
    [
      ['train-prior', '--data', 'x', '--out', 'y', '--autoencoder', 'z', '--autoencoder-batch', '9'],
      '--autoencoder-batch is of no use with --autoencoder, which is kept. Leave one out.',
    ],
    [['train-prior', '--data', 'x', '--out', 'y', '--denoiser-lr', 'x'], "--denoiser-lr is 'x'. Use a number above 0."],
    [['experts', '--data', 'x', '--out', 'y', '--lr', '0'], "--lr is '0'. Use a number above 0."],
    [
      ['experts', '--data', 'x', '--out', 'y', '--hold-out', '1'],
      "--hold-out is '1'. Use a number between 0 and 1, such as 0.1.",
    ],
    [
      ['export', '--run', 'nowhere', '--format', 'npz', '--out', 'y'],
      /^nowhere is not a run's folder: there is no distilled\.safetensors in it\. Name the folder of a distillation/,
    ],
    [['export', '--run', 'x', '--format', 'mat', '--out', 'y'], /--format.*npz.*folder.*safetensors/],
  ])('%j is an error of one line, without a stack', async (args, message) => {
    const { code, err } = await run(...args)
    expect(code).toBe(1)
    expect(err).toMatch(/^[^\n]*\n$/)
    if (typeof message === 'string') expect(err).toBe(`${message}\n`)
    else expect(err).toMatch(message)
  })

  test('distill tells a missing option before it opens a device', async () => {
    vi.stubEnv('LD3M_ADAPTER', 'none of these')
    onTestFinished(() => void vi.unstubAllEnvs())
    expect((await run('distill', '--data', 'x', '--prior', 'y', '--out', 'z')).err).toContain('none of these')
    expect((await run('distill', '--data', 'x', '--out', 'z')).err).toMatch(/^--space latent-diffusion needs --prior/)
  })

  test('a reader that leaves ends the output, not the work', async () => {
    const child = spawn(process.execPath, ['--import', './scripts/register.mjs', 'src/cli/main.ts', 'doctor'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    onTestFinished(() => {
      child.kill('SIGKILL')
    })
    let printed = ''
    child.stderr.on('data', (chunk) => (printed += chunk))
    child.stdout.destroy()
    expect(await new Promise((done) => child.on('exit', done)), printed).toBe(0)
    expect(printed).not.toMatch(/EPIPE/)
  })

  test('doctor names the adapter, its features and limits, and takes a gradient', async () => {
    const { code, out } = await run('doctor')
    expect(code).toBe(0)
    expect(out).toMatch(/← used/)
    expect(out).toContain('timestamp-query')
    expect(out).toContain('maxStorageBufferBindingSize')
    expect(out).toContain('d²(x³)/dx² at 3 = 18')
  })

  test('distill saves a run that evaluate reads', async () => {
    const out = join(folder, 'run')
    const distilled = await run('distill', '--data', data, '--prior', prior, '--ipc', '2', '--steps', '2', '--out', out)
    expect(distilled.err).not.toContain('Error')
    expect(distilled.code).toBe(0)
    expect(distilled.out).not.toContain('grey')
    const set = distilledFromSafetensors(await readFile(join(out, 'distilled.safetensors')))
    expect(set.images.shape).toEqual([4, 1, 8, 8])
    expect(set.loss).toHaveLength(2)
    expect(JSON.parse(await readFile(join(out, 'metrics.json'), 'utf8')).status).toBe('finished')

    const again = await run('distill', '--data', data, '--prior', prior, '--steps', '1', '--out', out)
    expect([again.code, again.err]).toEqual([
      1,
      `${out} holds a run already. Name another folder, go on with --resume, or replace it with --force.\n`,
    ])

    const same = ['distill', '--data', data, '--prior', prior, '--ipc', '2', '--out', out]
    expect((await run(...same, '--steps', '9', '--estimate')).out).toMatch(
      /^About [\d.]+ [kM]B of GPU memory and (less than )?\d+ s: 9 iterations of [\d.]+ s, as two after a first one took, without saving\.$/m,
    )
    expect((await run(...same, '--steps', '2', '--resume')).out).toMatch(/^The distillation is done already\.$/m)
    expect((await run(...same, '--steps', '3', '--resume')).err).toMatch(/other options: steps \(2 before, 3 now\)/)

    const args = ['--students', 'convnet', '--runs', '1', '--steps', '2']
    const diverged = await run('evaluate', '--run', out, '--data', data, ...args, '--lr', '1e30')
    expect([diverged.code, diverged.err]).toEqual([1, 'ConvNet-3 diverged: its logits are NaN. Lower --lr.\n'])
    const evaluated = await run('evaluate', '--run', out, '--data', data, ...args, '--lr', '0.02')
    expect(evaluated.code).toBe(0)
    expect(evaluated.out).toMatch(/ConvNet-3 +\d+\.\d +\d+\.\d /)
    const metrics = JSON.parse(await readFile(join(out, 'metrics.json'), 'utf8'))
    expect(metrics.accuracy.distilled['ConvNet-3'].runs).toHaveLength(1)
    expect(metrics.accuracy.randomReal['ConvNet-3'].runs).toHaveLength(1)
    expect(metrics.evaluation.protocol.learningRate).toEqual({ 'ConvNet-3': 0.02 })
  })

  test('distill takes a space, and how images are made there', async () => {
    const distilled = async (name: string, ...args: string[]) => {
      const out = join(folder, name)
      const { code, err } = await run('distill', '--data', data, '--steps', '1', '--out', out, ...args)
      expect([code, err]).toEqual([0, ''])
      const config = JSON.parse(await readFile(join(out, 'config.json'), 'utf8'))
      return { config, set: distilledFromSafetensors(await readFile(join(out, 'distilled.safetensors'))) }
    }
    const loops = ['--outer-loops', '2', '--inner-loops', '3']
    const pixels = await distilled('pixels', '--space', 'pixel', '--objective', 'dc', ...loops, '--lr', '0.5')
    const objective = { name: 'DC', loops: { outer: 2, inner: 3 } }
    expect(pixels.config).toMatchObject({ space: 'pixel', learningRate: 0.5, objective })
    expect(pixels.set.latents).toBe(undefined)
    const drawn = ['--init', 'gaussian', '--real-batch', '2', '--chunk', '1']
    const decoded = await distilled('decoded', '--space', 'autoencoder', '--prior', prior, ...drawn)
    expect(decoded.config).toMatchObject({ init: 'gaussian', realBatch: 2, chunk: 1 })
    expect(decoded.set.conditioning).toBe(undefined)
    const how = ['--timesteps', '3', '--guidance', '1', '--residual', 'paper', '--learn', 'latents']
    const { config } = await distilled('paper', '--prior', prior, ...how)
    expect(config).toMatchObject({ diffusion: { steps: 3, guidance: 1, residual: 'paper' }, learned: ['latents'] })
  })

  test('export writes the set of a run in every format, and replaces only what it is told to', async () => {
    const out = join(folder, 'exported')
    await mkdir(join(out, 'run'), { recursive: true })
    const set = { ...randomSet(['dark', 'bright'], 2), studentLearningRate: 0.5 }
    const saved = distilledToSafetensors(set)
    await writeFile(join(out, 'run', 'distilled.safetensors'), saved)
    const exported = (format: string, name: string, ...more: string[]) =>
      run('export', '--run', join(out, 'run'), '--format', format, '--out', join(out, name), ...more)

    for (const [format, name] of [
      ['npz', 'set.npz'],
      ['safetensors', 'set.safetensors'],
      ['folder', 'set'],
    ] as const) {
      const printed = { code: 0, out: `4 images in ${join(out, name)}\n`, err: '' }
      expect(await exported(format, name)).toEqual(printed)
      expect(await exported(format, name)).toMatchObject({ code: 1, err: expect.stringContaining('--force') })
      expect(await exported(format, name, '--force')).toEqual(printed)
    }
    expect(new Uint8Array(await readFile(join(out, 'set.npz')))).toEqual(distilledToNpz(set))
    expect(new Uint8Array(await readFile(join(out, 'set.safetensors')))).toEqual(saved)
    expect(await readdir(join(out, 'set'))).toEqual(['0 dark', '1 bright', 'distilled.json'])
    expect((await exported('folder', 'run', '--force')).err).toContain('holds no export')
    expect((await exported('npz', 'nowhere/set.npz')).err).toMatch(/^Cannot write .*set.npz: ENOENT/)
    expect((await readdir(out)).sort()).toEqual(['run', 'set', 'set.npz', 'set.safetensors'])
  })

  test('sample draws a row of images for each class', async () => {
    const out = join(folder, 'samples.png')
    const args = ['--prior', prior, '--count', '3', '--steps', '2', '--guidance', '1.5', '--out', out]
    expect(await run('sample', ...args, '--class', '0,1')).toMatchObject({ code: 0, out: `6 images in ${out}\n` })
    const { width, height, channels } = decodePng(await readFile(out))
    expect([width, height, channels]).toEqual([3 * 10 + 2, 2 * 10 + 2, 1])
    const { code, err } = await run('sample', ...args, '--class', '0,2')
    expect(code).toBe(1)
    expect(err).toContain("--class is '2'. The prior's classes are 0 to 1.")
  })

  test('sample makes the folder of its file, and takes the size of a published model', async () => {
    const out = join(folder, 'samples', 'one.png')
    const args = ['sample', '--prior', prior, '--count', '1', '--steps', '1', '--out', out]
    expect(await run(...args)).toMatchObject({ code: 0, out: `1 image in ${out}\n` })
    const { code, err } = await run(...args, '--size', '64')
    expect(code).toBe(1)
    expect(err).toMatch(/^--size is 64; the file's prior makes images of 8×8\. Leave --size out\.$/m)
  })

  test('a prior in a PyTorch file may refer to names that the command line lets pass', async () => {
    const file = join(folder, 'prior.pt')
    await writeFile(file, legacyFile(pickle(dict([text('hparams'), global('argparse.Namespace')]))))
    const options = ['--prior', file, '--out', join(folder, 'none.png')]
    expect((await run('sample', ...options)).err).toMatch(/refers to "argparse\.Namespace".*--inert/)
    // Then it is seen that there is no model in it.
    expect((await run('sample', ...options, '--inert', 'argparse.Namespace')).err).toMatch(/of no published model/)
    const distil = ['distill', '--data', data, '--prior', file, '--out', join(folder, 'none')]
    expect((await run(...distil, '--inert', 'argparse.Namespace')).err).toMatch(/of no published model/)
    expect((await run('distill', '--data', data, '--space', 'pixel', '--inert', 'a', '--out', 'x')).err).toMatch(
      /--inert is of no use to --space pixel/,
    )
    expect((await run('train-prior', '--data', data, '--inert', 'a', '--out', 'x')).err).toMatch(
      /--inert is of no use without --autoencoder/,
    )
  })

  test('experts trains what distill --objective mtt matches, and goes on with more', async () => {
    const [experts, out] = [join(folder, 'experts'), join(folder, 'mtt')]
    const trained = ['--batch', '5000', '--epochs', '3', '--out', experts]
    const train = (count: string) => run('experts', '--data', data, '--count', count, ...trained)
    const first = await train('1')
    expect(first.out).toContain('1 expert of 3 epochs in ')
    expect(first.code).toBe(0)
    const manifest = async () => JSON.parse(await readFile(join(experts, 'manifest.json'), 'utf8'))
    const [one] = (await manifest()).experts
    expect(first.out).toMatch(/^An epoch is 1 step: experts hardly move in it. A smaller --batch gives more.$/m)
    expect((await train('2')).code).toBe(0)
    expect((await manifest()).experts).toEqual([one, expect.anything()])

    const args = ['--objective', 'mtt', '--experts', experts, '--steps', '2', '--out', out]
    expect((await run('distill', '--data', data, '--prior', prior, ...args)).code).toBe(0)
    const set = distilledFromSafetensors(await readFile(join(out, 'distilled.safetensors')))
    expect(set.studentLearningRate).toBeGreaterThan(0)

    const how = ['--max-start-epoch', '1', '--expert-epochs', '3', '--differentiation', 'constant', '--force']
    expect((await run('distill', '--data', data, '--prior', prior, ...args, ...how)).code).toBe(0)
    const { objective } = JSON.parse(await readFile(join(out, 'config.json'), 'utf8'))
    expect(objective).toMatchObject({ maxStartEpoch: 1, expertEpochs: 3, differentiation: 'constant' })
    const long = ['--expert-epochs', '3', '--force']
    expect((await run('distill', '--data', data, '--prior', prior, ...args, ...long)).err).toBe(
      'mtt: an expert has 3 epochs; --max-start-epoch 2 with --expert-epochs 3 asks for 4. ' +
        'Lower one of them, or train experts for longer.\n',
    )
  })

  test('colours are made grey for experts and in pixel space as for a grey prior', async () => {
    const files: Record<string, Uint8Array> = {}
    for (const split of ['train', 'val']) {
      for (const [name, level] of [
        ['bright', 150],
        ['dark', 20],
      ] as const) {
        for (let i = 0; i < 3; i++)
          files[`${split}/${name}/${i}.png`] = await png(picture(8, 8, 3, (x, y) => level + x * y))
      }
    }
    const pictures = ['--data', await folderOf(files)]
    const grey = ['--size', '8', '--channels', '1']
    const experts = join(folder, 'grey-experts')
    const trained = ['--count', '1', '--epochs', '3', '--out', experts]
    expect(await run('experts', ...pictures, ...grey, ...trained)).toMatchObject({ code: 0, err: '' })
    const matching = ['--objective', 'mtt', '--experts', experts, '--steps', '1']
    const latents = ['--prior', prior, '--out', join(folder, 'grey-latents')]
    expect(await run('distill', ...pictures, ...matching, ...latents)).toMatchObject({ code: 0, err: '' })
    const refused = await run('distill', ...pictures, ...latents, '--force', '--channels', '1')
    expect(refused.err).toBe(
      '--channels is of no use to --space latent-diffusion, where the prior says it. Leave it out.\n',
    )

    const out = join(folder, 'grey-pixels')
    const pixels = ['--space', 'pixel', ...grey, '--out', out]
    expect(await run('distill', ...pictures, ...matching, ...pixels)).toMatchObject({ code: 0, err: '' })
    const set = distilledFromSafetensors(await readFile(join(out, 'distilled.safetensors')))
    expect(set.images.shape).toEqual([2, 1, 8, 8])
    const judged = ['--run', out, '--students', 'convnet', '--runs', '1', '--steps', '1']
    expect(await run('evaluate', ...pictures, ...judged)).toMatchObject({ code: 0, err: '' })
  })

  test('distill takes chosen classes of a folder of images, and evaluate takes the same ones', async () => {
    const image = (grey: number) => png(picture(10, 12, 3, (x, y, c) => grey + x + y + c))
    const files: Record<string, Uint8Array> = {}
    for (const split of ['train', 'val']) {
      for (const [name, grey] of [
        ['bright', 200],
        ['dark', 20],
        ['medium', 100],
      ] as const) {
        for (let i = 0; i < 3; i++) files[`${split}/${name}/${i}.png`] = await image(grey + 5 * i)
      }
    }
    const pictures = await folderOf(files)
    const out = join(folder, 'pictures')
    const args = ['--data', pictures, '--prior', prior, '--steps', '1', '--out', out]
    const wrong = await run('distill', ...args, '--classes', 'dark,light')
    expect(wrong.err).toMatch(/^--classes: '.*' has no class "light". Its classes are 0 'bright', 1 'dark', 2 'medium'/)
    // The prior has two classes as well, and does not say which.
    const unsure = await run('distill', ...args, '--classes', 'dark,bright')
    expect(unsure.err).toMatch(/2 classes without names, and --classes takes as many of 3.*--prior-classes 0,1/)
    const chosen = ['--classes', 'dark,bright', '--prior-classes']
    const named = await run('distill', '--data', pictures, '--space', 'pixel', '--out', out)
    expect(named.err).toBe(`${pictures} holds images of any size. Give --size, in pixels.\n`)
    const all = await run('distill', ...args)
    expect(all.err).toMatch(
      /has 3 classes \(.*\), the prior 2 classes without names\. Pass --prior-classes: the prior's/,
    )
    await expect(readdir(out)).rejects.toThrow(/ENOENT/)
    for (const [how, fix] of [
      ['--resume', 'Name the folder of a distillation that has saved something.'],
      ['--chunk=2', 'Give a folder of its own, such as runs/first.'],
    ] as const) {
      const refused = await run('distill', '--data', data, '--prior', prior, '--out', pictures, how)
      expect(refused.err).toBe(`${pictures} is not a run's folder: it holds folders of images. ${fix}\n`)
    }
    expect((await run('distill', ...args, ...chosen, '0,2')).err).toMatch(/--prior-classes is '2'.*0 to 1/)
    expect((await run('distill', ...args, ...chosen, '0,hat')).err).toMatch(/is 'hat'.*It does not name them/)
    const distilled = await run('distill', ...args, ...chosen, '1,0')
    expect(distilled.code).toBe(0)
    expect(distilled.out).toContain(`The prior makes grey images: colours in ${pictures} become their luminance.\n`)
    expect(JSON.parse(await readFile(join(out, 'config.json'), 'utf8')).priorClasses).toEqual([1, 0])
    const set = distilledFromSafetensors(await readFile(join(out, 'distilled.safetensors')))
    expect(set.classNames).toEqual(['dark', 'bright'])

    const few = ['--students', 'convnet', '--runs', '1', '--steps', '40']
    const listeners = process.listenerCount('SIGINT')
    expect((await run('evaluate', '--run', out, '--data', join(folder, 'nowhere'), ...few)).code).toBe(1)
    const other = await folderOf({ 'train/hat/0.png': await image(1), 'val/hat/0.png': await image(1) })
    expect((await run('evaluate', '--run', out, '--data', other, ...few)).err).toMatch(
      /^--data: '.*' has no class "dark"\. Its classes are 0 'hat'/,
    )
    expect(process.listenerCount('SIGINT')).toBe(listeners)
    const evaluated = await run('evaluate', '--run', out, '--data', pictures, ...few)
    expect(evaluated.code).toBe(0)
    // Random real images of these two classes are told apart at once, if they are the same ones in the same order.
    expect(evaluated.out).toMatch(/ConvNet-3 +\d+\.\d +100\.0 /)
  })

  describe('--hold-out', () => {
    /** Eight images a class, each of another grey. */
    async function photographs(more: Readonly<Record<string, Uint8Array>> = {}): Promise<string> {
      const files: Record<string, Uint8Array> = { ...more }
      for (const [name, grey] of [
        ['bright', 200],
        ['dark', 20],
      ] as const) {
        for (let i = 0; i < 8; i++) files[`${name}/${i}.png`] = await png(picture(9, 9, 3, (x) => grey + x + 2 * i))
      }
      return await folderOf(files)
    }
    const few = ['--students', 'convnet', '--runs', '1', '--steps', '2']

    test('divides a folder without parts, for distill and evaluate alike', async () => {
      const [path, out] = [await photographs(), join(folder, 'held-out')]
      const args = ['--data', path, '--prior', prior, '--steps', '1', '--out', out]
      const distilled = await run('distill', ...args, '--hold-out', '0.25')
      expect([distilled.code, distilled.err]).toEqual([0, ''])
      expect(distilled.out).not.toContain('no part')
      const config = JSON.parse(await readFile(join(out, 'config.json'), 'utf8'))
      expect(config).toMatchObject({ holdOut: 0.25, dataset: { count: 12 } })

      const evaluate = (...more: string[]) => run('evaluate', '--run', out, '--data', path, ...few, ...more)
      expect((await evaluate()).out).toMatch(/ConvNet-3 +\d+\.\d /)
      expect((await evaluate('--hold-out', '0.25')).code).toBe(0)
      expect((await evaluate('--hold-out', '0.5')).err).toBe(`--hold-out is 0.5; ${out} held out 0.25. Leave it out.\n`)
      // The folder's record says the same to a distillation that goes on.
      expect((await run('distill', ...args, '--resume')).out).toMatch(/^The distillation is done already\.$/m)
      expect((await run('distill', ...args, '--resume', '--hold-out', '0.5')).err).toContain('held out 0.25')

      await writeFile(join(path, 'dark', 'new.png'), await png(picture(9, 9, 3, () => 1)))
      const changed = `${path} is not what ${out} held images out from: some were added, removed or renamed, or it is other data. Give the data as it was, or distil again.\n`
      expect((await evaluate()).err).toBe(changed)
      expect((await run('distill', ...args, '--resume')).err).toBe(changed)
    })

    test('notices a class that was added beside those that were distilled, which have as many images as before', async () => {
      const [path, out] = [await photographs(), join(folder, 'held-out-of-one')]
      const some = ['--steps', '1', '--classes', 'dark', '--hold-out', '0.25']
      expect((await run('distill', '--data', path, '--prior', prior, ...some, '--out', out)).code).toBe(0)
      const evaluate = () => run('evaluate', '--run', out, '--data', path, ...few)
      expect((await evaluate()).code).toBe(0)
      await mkdir(join(path, 'ant'))
      for (const name of ['a.png', 'b.png', 'c.png']) {
        await writeFile(join(path, 'ant', name), await png(picture(9, 9, 3, () => 1)))
      }
      expect((await evaluate()).err).toContain('is not what')
      await rm(join(path, 'ant'), { recursive: true })
      expect((await evaluate()).code).toBe(0)
    })

    test('divides a part to train on where there is none to test on', async () => {
      const [root, out] = [await folderOf({}), join(folder, 'held-out-of-train')]
      await rename(await photographs(), join(root, 'train'))
      const args = ['--data', root, '--prior', prior, '--steps', '1', '--out', out]
      expect((await run('distill', ...args)).out).toContain(`${root} has no part to test on: --hold-out 0.1`)
      expect((await run('evaluate', '--run', out, '--data', root, ...few)).err).toMatch(/Distil again with --hold-out/)
      expect((await run('distill', ...args, '--force', '--hold-out', '0.25')).code).toBe(0)
      expect((await run('evaluate', '--run', out, '--data', root, ...few)).code).toBe(0)
    })

    test('says that a class of one image is divided even if it is not taken', async () => {
      const path = await photographs({ 'ant/0.png': await png(picture(9, 9, 3, () => 1)) })
      const args = ['--size', '16', '--out', join(folder, 'not-divided'), '--hold-out', '0.25', '--classes', 'dark']
      expect((await run('experts', '--data', path, ...args)).err).toBe(
        `--hold-out: class 'ant' of ${path} has a single image; all are divided, also those that --classes leaves out. Give it a second image, or move it out of there.\n`,
      )
    })

    test('experts and train-prior leave out the same images', async () => {
      const path = await photographs()
      const experts = join(folder, 'held-out-experts')
      const some = ['--size', '16', '--hold-out', '0.25', '--classes', 'dark']
      const train = ['--count', '1', '--epochs', '1', '--out', experts]
      expect((await run('experts', '--data', path, ...some, ...train)).code).toBe(0)
      const { dataset } = JSON.parse(await readFile(join(experts, 'manifest.json'), 'utf8'))
      expect(dataset).toMatchObject({ count: 6, classNames: ['dark'] })
      const out = join(folder, 'held-out-prior.safetensors')
      const steps = ['--autoencoder-steps', '1', '--denoiser-steps', '1', '--out', out]
      expect((await run('train-prior', '--data', path, ...some, ...steps)).code).toBe(0)
      expect(await readFile(`${out}.training.json`, 'utf8')).toMatch(/"count": ?6\b/)
    })

    test('is told of where it is missing, and refused where it is of no use', async () => {
      const [path, out] = [await photographs(), join(folder, 'not-held-out')]
      const args = ['--prior', prior, '--steps', '1', '--out', out]
      const distilled = await run('distill', '--data', path, ...args)
      expect(distilled.code).toBe(0)
      expect(distilled.out).toContain(
        `${path} has no part to test on: --hold-out 0.1 keeps a tenth of each class for that.\n`,
      )
      const evaluate = (path: string, ...more: string[]) =>
        run('evaluate', '--run', out, '--data', path, ...few, ...more)
      expect((await evaluate(path)).err).toMatch(/has no part to test on.*Distil again with --hold-out 0\.1/)
      expect((await evaluate(path, '--hold-out', '0.1')).err).toMatch(/was distilled from all images/)
      // Other images can be divided.
      expect((await evaluate(await photographs(), '--hold-out', '0.25')).code).toBe(0)
      const resumed = await run('distill', '--data', path, ...args, '--resume', '--hold-out', '0.1')
      expect(resumed.err).toContain('held out nothing')

      const whole = /is of no use to .*, which has a part to test on already\. Leave it out\./
      expect((await run('distill', '--data', data, ...args, '--force', '--hold-out', '0.1')).err).toMatch(whole)
      expect((await evaluate(data, '--hold-out', '0.1')).err).toMatch(whole)
      expect((await run('distill', '--data', data, ...args, '--force')).out).not.toContain('no part')
    })
  })

  test('a comma in the name of a class is told from one between two', async () => {
    const image = await png(picture(9, 9, 1, (x) => 9 * x))
    const path = await folderOf({ 'tench, tinca/0.png': image, 'dark/0.png': image, 'light/0.png': image })
    const out = join(folder, 'experts-with-commas')
    const args = ['--data', path, '--size', '16', '--count', '1', '--epochs', '1', '--out', out]
    expect((await run('experts', ...args, '--classes', 'dark,tench\\, tinca')).code).toBe(0)
    const { dataset } = JSON.parse(await readFile(join(out, 'manifest.json'), 'utf8'))
    expect(dataset.classNames).toEqual(['dark', 'tench, tinca'])
  })

  test('all classes in another order keep the numbers that the prior of the dataset has for them', async () => {
    const out = join(folder, 'swapped')
    const args = ['--data', data, '--prior', prior, '--steps', '1', '--out', out, '--classes', '1,0']
    expect((await run('distill', ...args)).code).toBe(0)
    expect(JSON.parse(await readFile(join(out, 'config.json'), 'utf8')).priorClasses).toEqual([1, 0])
  })

  test('a part of the classes that the prior was trained on keeps their numbers', async () => {
    const out = join(folder, 'one-class')
    const args = ['--data', data, '--prior', prior, '--steps', '1', '--out', out]
    expect((await run('distill', ...args, '--classes', '1')).code).toBe(0)
    expect(JSON.parse(await readFile(join(out, 'config.json'), 'utf8')).priorClasses).toEqual([1])
    const set = distilledFromSafetensors(await readFile(join(out, 'distilled.safetensors')))
    expect(set.classNames).toEqual(['1'])

    const folders = ['--data', data, '--out', join(folder, 'experts-of-one')]
    const trained = await run('experts', ...folders, '--count', '1', '--epochs', '1', '--classes', '1')
    expect(trained.code).toBe(0)
    const manifest = JSON.parse(await readFile(join(folder, 'experts-of-one', 'manifest.json'), 'utf8'))
    expect(JSON.stringify(manifest)).toContain('"classNames":["1"]')
  })

  test('distill saves what it has when it is interrupted, and goes on from there', async () => {
    const out = join(folder, 'interrupted')
    const main = ['--import', './scripts/register.mjs', 'src/cli/main.ts', 'distill']
    const args = [...main, '--data', data, '--prior', prior, '--steps', '100000', '--out', out]
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    onTestFinished(() => {
      child.kill('SIGKILL')
    })
    let printed = ''
    child.stderr.on('data', (chunk) => (printed += chunk))
    const code = new Promise((resolve) => child.on('exit', resolve))
    // The first line of progress: from here on Ctrl-C stops after the iteration that runs.
    let said = ''
    const progress = new Promise<void>((resolve) => {
      child.stdout.on('data', (chunk) => {
        said += chunk
        if (said.includes('distilling')) resolve()
      })
    })
    await Promise.race([progress, code])
    expect(child.exitCode, printed).toBeNull()
    child.kill('SIGINT')
    expect(await code).toBe(130)
    expect(printed).toContain('The distillation was aborted after')
    expect(said).toContain(`Saved to ${out}; --resume goes on from there.`)
    const { status, iterations } = JSON.parse(await readFile(join(out, 'metrics.json'), 'utf8'))
    expect(status).toContain('aborted')
    expect(iterations).toBeGreaterThan(0)
    expect(await readdir(out)).toContain('distilled.safetensors')

    const steps = `${iterations + 2}`
    const resumed = await run('distill', '--data', data, '--prior', prior, '--steps', steps, '--out', out, '--resume')
    expect(resumed.code).toBe(0)
    const set = distilledFromSafetensors(await readFile(join(out, 'distilled.safetensors')))
    expect(set.loss).toHaveLength(iterations + 2)
  })

  test('reproduce lists the rows of the paper', async () => {
    const { code, out } = await run('reproduce', '--list')
    expect(code).toBe(0)
    expect(out).toMatch(/^table4-imagenet-a-dm +128×128, 10 images a class, generator imagenet, paper: 57.0 ± 1.3 %$/m)
  })

  test('train-prior stops on Ctrl-C, goes on to what it would have been, and is not done twice', async () => {
    const pictures: Record<string, Uint8Array> = {}
    for (const name of ['dark', 'bright']) {
      for (let i = 0; i < 3; i++) pictures[`${name}/${i}.png`] = await png(picture(9, 9, 1, (x, y) => x * y + 40 * i))
    }
    const [images, files] = [await folderOf(pictures), await folderOf({})]
    const [whole, broken] = [join(files, 'whole.safetensors'), join(files, 'new', 'broken.safetensors')]
    const steps = ['--autoencoder-steps', '60', '--denoiser-steps', '4']
    const small = ['--width', '16', '--autoencoder-batch', '5', '--denoiser-batch', '6']
    const rates = ['--autoencoder-lr', '0.002', '--denoiser-lr', '5e-4']
    const sizes = ['--size', '16', ...steps, ...small, ...rates]
    const args = (out: string) => ['train-prior', '--data', images, ...sizes, '--out', out]
    expect((await run(...args(whole), '--estimate')).out).toMatch(
      /About \S+ MB of GPU memory and \d.*: 60 steps of the autoencoder of \S+ s, 4 steps of the denoiser of \S+ s, as three/,
    )
    expect(await readdir(files)).toEqual([])
    const trained = await run(...args(whole))
    expect(trained.code).toBe(0)

    const child = spawn(process.execPath, ['--import', './scripts/register.mjs', 'src/cli/main.ts', ...args(broken)], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    onTestFinished(() => {
      child.kill('SIGKILL')
    })
    let printed = ''
    child.stderr.on('data', (chunk) => (printed += chunk))
    // The first line of progress; a second signal would end the process at once.
    let told = false
    let out = ''
    child.stdout.on('data', (chunk) => {
      out += chunk
      if (!told && out.includes('autoencoder')) told = child.kill('SIGINT')
    })
    expect(await new Promise((done) => child.on('exit', done)), printed).toBe(130)
    expect(printed).toMatch(/autoencoder: aborted after \d+ of 60 steps/)
    expect(out).toMatch(
      /autoencoder \S+ 1\/60 {2}loss \S+ .* left\nStopping; .*\nThe state is in .*new.broken\.safetensors\.state; the same/,
    )
    expect(await readdir(`${broken}.state`)).toEqual(['autoencoder.safetensors'])

    expect((await run(...args(broken))).code).toBe(0)
    expect(await readFile(broken)).toEqual(await readFile(whole))
    expect((await readdir(join(files, 'new'))).sort()).toEqual([
      'broken.safetensors',
      'broken.safetensors.png',
      'broken.safetensors.training.json',
    ])
    const { curves, recipe, reconstruction } = JSON.parse(await readFile(`${broken}.training.json`, 'utf8'))
    expect([curves.autoencoder.length, curves.denoiser.length]).toEqual([3, 1])
    const { autoencoder, autoencoderTraining, denoiser, denoiserTraining } = recipe
    expect([autoencoder.baseChannels, denoiser.modelChannels]).toEqual([16, 16])
    expect([autoencoderTraining.batch, denoiserTraining.batch]).toEqual([5, 6])
    expect([autoencoderTraining.learningRate, denoiserTraining.learningRate]).toEqual([0.002, 5e-4])
    expect(denoiserTraining.emaDecay).toBe(0)
    expect(reconstruction).toEqual({ count: 6, psnr: expect.closeTo(Number(/at (\S+) dB/.exec(trained.out)?.[1]), 1) })
    // Two classes; real images, reconstructions and samples, of 16×16 pixels six times as large.
    const { width, height } = decodePng(await readFile(`${broken}.png`))
    expect([width, height]).toEqual([2 * 98 + 2, 3 * 98 + 2])
    expect(await readFile(`${broken}.png`)).toEqual(await readFile(`${whole}.png`))

    expect((await run(...args(broken))).out).toContain('is trained already')
    expect((await run(...args(broken), '--seed', '1')).err).toMatch(
      /is there already, trained otherwise: seed \(0 before, 1 now\)/,
    )

    // Its autoencoder serves another training.
    const second = join(files, 'second.safetensors')
    const keep = ['--size', '16', '--autoencoder', whole, '--denoiser-steps', '2']
    expect((await run('train-prior', '--data', images, ...keep, '--out', second)).code).toBe(0)
    expect((await run('sample', '--prior', second, '--steps', '1', '--out', join(files, 'x.png'))).code).toBe(0)
  })
})
