import { parseArgs } from 'node:util'
import { optionError } from '../../src/errors.ts'
import type { TorchOptions } from './python.ts'

export interface PeerOptions extends TorchOptions {
  /** Where to write the measurements; nowhere if omitted. */
  readonly json?: string
  /** Only rows whose name or shape contains this text. */
  readonly filter: string
  /** Tiny sizes, one sample each: shows that everything runs and agrees. */
  readonly quick: boolean
  /** Samples of each library and row. */
  readonly samples: number
}

const TORCH_SCRIPT = 'bench:torch'

export const usage = (
  script: string,
): string => `Usage: npm run ${script} -- [--filter TEXT] [--json FILE] [--samples N] [--quick]${script === TORCH_SCRIPT ? ' [--cuda] [--python FILE]' : ''}

  --filter TEXT  only rows whose name or shape contains TEXT
  --json FILE    write the measurements to FILE
  --samples N    samples of each library and row, of which the median counts; at least 1, default 5
  --quick        tiny sizes, one sample each: shows that everything runs and agrees, times mean nothing
${script === TORCH_SCRIPT ? TORCH_USAGE : ''}  --help         this text`

const TORCH_USAGE = `  --cuda         PyTorch with CUDA, not on the CPU
  --python FILE  the Python that has PyTorch; default /usr/bin/python3, Debian's
`

/**
 * Reads the command line; undefined if it asks for help.
 * @throws Ld3mError `option` for an unknown option or a missing or bad value
 */
export function parsePeerOptions(script: string, args: readonly string[]): PeerOptions | undefined {
  const text = { type: 'string' } as const
  const flag = { type: 'boolean' } as const
  const known = { json: text, filter: text, quick: flag, samples: text, help: flag }
  const torch = { cuda: flag, python: text }
  let values: ReturnType<typeof parseArgs<{ options: typeof known & typeof torch }>>['values']
  try {
    const options = (script === TORCH_SCRIPT ? { ...known, ...torch } : known) as typeof known & typeof torch
    values = parseArgs({ args: [...args], options, allowPositionals: false }).values
  } catch (error) {
    throw optionError(`${script}: ${(error as Error).message.split('. ')[0]}.`, 'See --help for the options.')
  }
  const { json, filter = '', quick = false, help = false, cuda = false, python } = values
  if (help) return undefined
  const samples = Number(values.samples ?? (quick ? 1 : 5))
  if (!Number.isInteger(samples) || samples < 1) {
    throw optionError(`${script}: --samples is '${values.samples}'.`, 'Give an integer of at least 1.')
  }
  const given = { ...(json === undefined ? {} : { json }), ...(python === undefined ? {} : { python }) }
  return { ...given, filter, quick, samples, cuda }
}
