import { parseArgs } from 'node:util'
import { optionError } from '../src/errors.ts'

export interface BenchOptions {
  /** Where to write the measurements; nowhere if omitted. */
  readonly json?: string
  /** Only rows whose family, name or shape contains this text. */
  readonly filter: string
  /** Tiny sizes, one launch each: shows that everything runs. */
  readonly quick: boolean
  /** Instead of the table: what the tuner chooses. */
  readonly tune: boolean
  /** Profile one step of distillation instead. */
  readonly profile: boolean
  /** Where to write the profile's trace; nowhere if omitted. */
  readonly trace?: string
}

export const USAGE = `Usage: npm run bench -- [--filter TEXT] [--json FILE] [--tune] [--quick]
       npm run bench -- --profile [--trace FILE] [--json FILE]

  --filter TEXT  only rows whose family, name or shape contains TEXT
  --json FILE    write the measurements to FILE
  --tune         what the tuner chooses for each row that it knows, with the times of all variants
  --quick        tiny sizes, one launch each: shows that everything runs, times mean nothing
  --profile      where the time of one distillation step goes, by kernel: the demo's step, after one to warm up
  --trace FILE   write every kernel of the profile to FILE, for chrome://tracing or ui.perfetto.dev
  --help         this text`

/**
 * Reads the command line; undefined if it asks for help.
 * @throws Ld3mError `option` for an unknown option or a missing value
 */
export function parseOptions(args: readonly string[]): BenchOptions | undefined {
  let values: {
    json?: string
    filter?: string
    quick?: boolean
    tune?: boolean
    profile?: boolean
    trace?: string
    help?: boolean
  }
  try {
    const options = {
      json: { type: 'string' },
      filter: { type: 'string' },
      quick: { type: 'boolean' },
      profile: { type: 'boolean' },
      trace: { type: 'string' },
      tune: { type: 'boolean' },
      help: { type: 'boolean' },
    } as const
    values = parseArgs({ args: [...args], options, allowPositionals: false }).values
  } catch (error) {
    throw optionError(`bench: ${(error as Error).message.split('. ')[0]}.`, 'See --help for the options.')
  }
  const { json, trace, filter = '', quick = false, tune = false, profile = false, help = false } = values
  if (help) return undefined
  if (tune && json !== undefined) throw optionError('bench: --tune and --json exclude each other.', 'Give one of them.')
  if (profile && (values.filter !== undefined || quick || tune)) {
    throw optionError(
      'bench: --profile times a distillation step, not rows.',
      'Leave out --filter, --tune and --quick.',
    )
  }
  if (trace !== undefined && !profile) throw optionError('bench: --trace belongs to --profile.', 'Pass both.')
  const files = { ...(json === undefined ? {} : { json }), ...(trace === undefined ? {} : { trace }) }
  return { ...files, filter, quick, tune, profile }
}
