import { parseArgs } from 'node:util'
import { optionError } from '../../src/errors.ts'

export interface PeerOptions {
  /** Where to write the measurements; nowhere if omitted. */
  readonly json?: string
  /** Only rows whose name or shape contains this text. */
  readonly filter: string
  /** Tiny sizes, one sample each: shows that everything runs and agrees. */
  readonly quick: boolean
  /** Samples of each library and row. */
  readonly samples: number
}

export const usage = (
  script: string,
): string => `Usage: npm run ${script} -- [--filter TEXT] [--json FILE] [--samples N] [--quick]

  --filter TEXT  only rows whose name or shape contains TEXT
  --json FILE    write the measurements to FILE
  --samples N    samples of each library and row, of which the median counts; at least 1, default 5
  --quick        tiny sizes, one sample each: shows that everything runs and agrees, times mean nothing
  --help         this text`

/**
 * Reads the command line; undefined if it asks for help.
 * @throws Ld3mError `option` for an unknown option or a missing or bad value
 */
export function parsePeerOptions(script: string, args: readonly string[]): PeerOptions | undefined {
  let values: { json?: string; filter?: string; quick?: boolean; samples?: string; help?: boolean }
  try {
    const options = {
      json: { type: 'string' },
      filter: { type: 'string' },
      quick: { type: 'boolean' },
      samples: { type: 'string' },
      help: { type: 'boolean' },
    } as const
    values = parseArgs({ args: [...args], options, allowPositionals: false }).values
  } catch (error) {
    throw optionError(`${script}: ${(error as Error).message.split('. ')[0]}.`, 'See --help for the options.')
  }
  const { json, filter = '', quick = false, help = false } = values
  if (help) return undefined
  const samples = Number(values.samples ?? (quick ? 1 : 5))
  if (!Number.isInteger(samples) || samples < 1) {
    throw optionError(`${script}: --samples is '${values.samples}'.`, 'Give an integer of at least 1.')
  }
  return { ...(json === undefined ? {} : { json }), filter, quick, samples }
}
