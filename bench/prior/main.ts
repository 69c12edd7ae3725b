/** `npm run bench:prior`: time and memory of the full-size prior, on its own or beside PyTorch. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import type { Tensor } from '../../src/autograd/index.ts'
import type { Device } from '../../src/gpu/index.ts'
import type { PriorConfig } from '../../src/ld3m/index.ts'
import { formatBytes, openDevice } from '../../src/node/index.ts'
import { median } from '../median.ts'
import { distance, type HostArray } from '../peers/arrays.ts'
import { Python, type TorchOptions } from '../peers/python.ts'
import { configOf, parsePriorOptions, USAGE } from './options.ts'
import { type PriorWork, plannedPeak, priorWorks, randomPrior } from './works.ts'

interface Row {
  readonly work: string
  readonly seconds: number
  readonly peakBytes: number
  /** Held from the driver by then: the peak, and what is kept for reuse. */
  readonly reservedBytes: number
  /** PyTorch's seconds and the largest relative difference of results, if it has the work. */
  readonly pytorch?: number
  readonly difference?: number
}

/** Runs a work once: seconds from the first call until the GPU is done, the peak of memory, the results. */
async function once(device: Device, { run }: PriorWork) {
  device.resetPeak()
  const start = performance.now()
  const results = run()
  await device.synchronize()
  const seconds = (performance.now() - start) / 1000
  const { peak: peakBytes, reserved: reservedBytes } = device.memory
  return { seconds, peakBytes, reservedBytes, results: await Promise.all(results.map(onHost)) }
}

async function onHost(t: Tensor): Promise<HostArray> {
  const array = { shape: t.shape, data: await t.read() }
  t.dispose()
  return array
}

/** PyTorch with the same weights; it does a work in its own process. */
async function openTorch(config: PriorConfig, folder: string, torchOptions: TorchOptions) {
  const { denoiser, autoencoder, image } = config
  const options = { denoiser, autoencoder, side: image.height / 4 }
  const python = new Python(new URL('torch_prior.py', import.meta.url), torchOptions, [JSON.stringify(options)])
  const { version, where } = await python.answer<{ version: string; where: string }>()
  process.stdout.write(`PyTorch ${version}, ${where}\n`)
  return {
    async once(work: string, like: readonly HostArray[]) {
      const { ms } = await python.ask<{ ms: number }>({ work, folder })
      const results = await Promise.all(
        like.map(async ({ shape }, i) => {
          const bytes = await readFile(join(folder, `${i}.out`))
          return { shape, data: new Float32Array(Uint8Array.from(bytes).buffer) }
        }),
      )
      return { seconds: ms / 1000, results }
    },
    close: () => python.end(),
  }
}

async function main(): Promise<void> {
  const options = parsePriorOptions(process.argv.slice(2))
  if (!options) {
    process.stdout.write(`${USAGE}\n`)
    return
  }
  const config = configOf(options)
  const device = await openDevice({ derivedBytes: options.derived * 2 ** 20 })
  const folder = await mkdtemp(join(tmpdir(), 'ld3m-gpu-prior-'))
  const torch = options.torch ? await openTorch(config, folder, options) : undefined
  try {
    const prior = await randomPrior(device, config, options.dtype === 'f16')
    process.stdout.write(`weights in ${options.dtype}: ${formatBytes(device.memory.current)}\n`)
    const rows: Row[] = []
    for (const work of priorWorks(prior)) {
      if (!work.name.includes(options.filter)) continue
      // Compiles.
      const first = await once(device, work)
      const theirs = torch && !work.name.endsWith('block by block') ? torch : undefined
      const other = await theirs?.once(work.name, first.results)
      const [ours, peers]: [number[], number[]] = [[], []]
      for (let i = 0; i < options.samples; i++) {
        ours.push((await once(device, work)).seconds)
        if (theirs) peers.push((await theirs.once(work.name, first.results)).seconds)
      }
      const named = (arrays: readonly HostArray[]) => Object.fromEntries(arrays.map((a, i) => [String(i), a]))
      rows.push({
        work: work.name,
        seconds: median(ours),
        peakBytes: first.peakBytes,
        reservedBytes: first.reservedBytes,
        ...(other ? { pytorch: median(peers), difference: distance(named(first.results), named(other.results)) } : {}),
      })
      process.stdout.write(`${lineOf(rows.at(-1) as Row)}\n`)
      if (options.profile) {
        const { table } = await device.profile(() => {
          for (const t of work.run()) t.dispose()
        })
        process.stdout.write(`${table}\n`)
      }
    }
    const plans = Object.fromEntries(
      ([false, true, 'blocks'] as const).map((checkpoint) => [String(checkpoint), plannedPeak(prior, checkpoint)]),
    )
    for (const [checkpoint, bytes] of Object.entries(plans)) {
      process.stdout.write(`plan of ten steps and the decoder, checkpoint ${checkpoint}: ${formatBytes(bytes)}\n`)
    }
    if (options.json) {
      const report = {
        adapter: device.info.description,
        date: new Date().toISOString(),
        dtype: options.dtype,
        rows,
        plans,
      }
      await writeFile(options.json, `${JSON.stringify(report, undefined, 2)}\n`)
    }
    prior.dispose()
  } finally {
    torch?.close()
    await rm(folder, { recursive: true })
    device.destroy()
  }
}

function lineOf({ work, seconds, peakBytes, reservedBytes, pytorch, difference }: Row): string {
  const own = `${work.padEnd(56)} ${seconds.toFixed(2).padStart(7)} s ${formatBytes(peakBytes).padStart(9)} (reserved ${formatBytes(reservedBytes)})`
  if (pytorch === undefined || difference === undefined) return own
  return `${own}   PyTorch ${pytorch.toFixed(2)} s, ${(seconds / pytorch).toFixed(2)}×, apart by ${difference.toExponential(1)}`
}

await main()
