import process from 'node:process'
import { type ParseArgsConfig, parseArgs } from 'node:util'
import { optionError } from '../src/errors.ts'

/**
 * Reads the command line of an experiment; `--help` lists its options and their defaults.
 * @throws Ld3mError `option` for an unknown option or a missing value
 */
export function readOptions<T extends ParseArgsConfig>(config: T): ReturnType<typeof parseArgs<T>> {
  const options = { ...config.options, help: { type: 'boolean' } } as const
  try {
    const read = parseArgs({ ...config, options } as unknown as T)
    if ((read.values as { help?: boolean }).help) {
      process.stdout.write(
        `Options:\n${listOf(config)}\nThe script's first lines say what it does; see docs/experiments.md.\n`,
      )
      process.exit()
    }
    return read
  } catch (error) {
    throw optionError(`${(error as Error).message.split('. ')[0]}.`, `The options are:\n${listOf(config)}`)
  }
}

const listOf = ({ options = {} }: ParseArgsConfig): string =>
  Object.entries(options)
    .map(
      ([name, { type, default: value }]) => `  --${name}${type === 'string' ? ` (default: ${value ?? 'none'})` : ''}`,
    )
    .join('\n')
