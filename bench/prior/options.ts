import { parseArgs } from 'node:util'
import { optionError } from '../../src/errors.ts'
import { ldmImageNet, type PriorConfig } from '../../src/ld3m/index.ts'
import { unetPresets, vqPresets } from '../../src/models/index.ts'
import type { TorchOptions } from '../peers/python.ts'

export interface PriorBenchOptions extends TorchOptions {
  /** Type of the weights. */
  readonly dtype: 'f32' | 'f16'
  /** Only works whose name contains this text. */
  readonly filter: string
  /** Side of the images. */
  readonly size: number
  /** MiB of packed weights to keep. */
  readonly derived: number
  /** Beside PyTorch, in turns. */
  readonly torch: boolean
  /** After each work, where its time goes by kernel. */
  readonly profile: boolean
  /** Timed runs of each work, of which the median counts. */
  readonly samples: number
  /** A tiny prior: shows that everything runs. */
  readonly quick: boolean
  /** Where to write the measurements; nowhere if omitted. */
  readonly json?: string
}

export const USAGE = `Usage: npm run bench:prior -- [--dtype f16] [--size N] [--derived MIB] [--torch [--cuda]] [--python FILE]
                            [--filter TEXT] [--samples N] [--profile] [--quick] [--json FILE]

  --dtype TYPE   f32 or f16, the type of the weights; default f32
  --size N       side of the images, a multiple of 32; default 128
  --derived MIB  packed weights to keep (derivedBytes of openDevice), in MiB; default 64
  --torch        beside PyTorch with the same weights, in turns; takes 2 GB more
  --cuda         PyTorch with CUDA, not on the CPU
  --python FILE  the Python that has PyTorch; default /usr/bin/python3, Debian's
  --filter TEXT  only works whose name contains TEXT
  --profile      after each work, where its time goes by kernel
  --samples N    timed runs of each work, of which the median counts; at least 1, default 3
  --json FILE    write the measurements to FILE
  --quick        a tiny prior: shows that everything runs, times mean nothing
  --help         this text`

/**
 * Reads the command line; undefined if it asks for help.
 * @throws Ld3mError `option` for an unknown option or a missing or bad value
 */
export function parsePriorOptions(args: readonly string[]): PriorBenchOptions | undefined {
  const text = { type: 'string' } as const
  const flag = { type: 'boolean' } as const
  const known = { dtype: text, filter: text, size: text, derived: text, samples: text, json: text, python: text }
  const flags = { torch: flag, cuda: flag, profile: flag, quick: flag, help: flag }
  let values: ReturnType<typeof parseArgs<{ options: typeof known & typeof flags }>>['values']
  try {
    values = parseArgs({ args: [...args], options: { ...known, ...flags }, allowPositionals: false }).values
  } catch (error) {
    throw optionError(`bench:prior: ${(error as Error).message.split('. ')[0]}.`, 'See --help for the options.')
  }
  if (values.help) return undefined
  const { dtype = 'f32', filter = '', torch = false, cuda = false, profile = false, quick = false } = values
  const { json, python } = values
  if (dtype !== 'f32' && dtype !== 'f16') {
    throw optionError(`bench:prior: --dtype is '${dtype}'.`, 'Use f32 or f16.')
  }
  const size = Number(values.size ?? 128)
  const derived = Number(values.derived ?? 64)
  if (!(derived >= 0 && Number.isFinite(derived))) {
    throw optionError(`bench:prior: --derived is '${values.derived}'.`, 'Give a number of MiB.')
  }
  const samples = Number(values.samples ?? (quick ? 1 : 3))
  if (!Number.isInteger(samples) || samples < 1) {
    throw optionError(`bench:prior: --samples is '${values.samples}'.`, 'Give an integer of at least 1.')
  }
  const given = { ...(json === undefined ? {} : { json }), ...(python === undefined ? {} : { python }) }
  return { dtype, filter, size, derived, torch, cuda, profile, samples, quick, ...given }
}

/** The prior to measure. */
export function configOf({ size, quick }: PriorBenchOptions): PriorConfig {
  const full = ldmImageNet({ size })
  if (!quick) return full
  const autoencoder = { ...vqPresets.f4, baseChannels: 8, groups: 4, codebookSize: 16 }
  return { ...full, autoencoder, denoiser: { ...unetPresets.small, channelMult: [1, 1, 2] } }
}
