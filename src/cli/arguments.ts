import { type ArgDef, type ArgsDef, type CommandDef, defineCommand, type ParsedArgs } from 'citty'
import { didYouMean } from '../did-you-mean.ts'
import { optionError } from '../errors.ts'

/**
 * A command that refuses what it does not know: citty itself lets unknown options and stray words pass, takes an option for
 * the value of the one before it, and the last of several values.
 */
export const command = <const T extends ArgsDef>(
  name: string,
  description: string,
  args: T,
  run: (args: ParsedArgs<T>) => Promise<void>,
): CommandDef<T> =>
  defineCommand<T>({
    meta: { name, description },
    args,
    run: async (context) => {
      // citty gives an option of several words under both spellings.
      const names = new Map(Object.keys(args).flatMap((known) => [known, camelCase(known)].map((key) => [key, known])))
      for (const [key, value] of Object.entries(context.args)) {
        if (key === '_') continue
        const known = names.get(key)
        if (known === undefined) {
          const options = optionsOf(args)
          const list = options.map((option) => `--${option}`).join(', ')
          throw optionError(
            `${name}: unknown option --${key}.`,
            list === '' ? 'It takes none.' : `${didYouMean(key, options, (option) => `--${option}`)}Options: ${list}.`,
          )
        }
        checkValue(name, known, args[known]?.type, value)
      }
      const repeated = repeatedOption(context.rawArgs)
      if (repeated !== undefined) {
        throw optionError(`${name}: --${names.get(repeated)} is given twice.`, 'Give it once.')
      }
      const positional = Object.values(args).filter(({ type }) => type === 'positional')
      const stray = context.args._[positional.length]
      if (stray !== undefined) throw optionError(`${name}: '${stray}' belongs to no option.`, 'See --help.')
      await run(context.args)
    },
  })

function checkValue(command: string, option: string, type: ArgDef['type'], value: unknown): void {
  if (type === 'positional' || type === 'boolean') return
  // `--no-out` is false.
  if (value === '' || value === false) throw optionError(`${command}: --${option} has no value.`, 'Give one.')
  if (typeof value === 'string' && value.startsWith('--')) {
    throw optionError(`${command}: --${option} is followed by ${value}, not by a value.`, 'Give one.')
  }
}

/** An option that is there more than once, also as `--no-…`, as the API spells it. */
function repeatedOption(args: readonly string[]): string | undefined {
  const end = args.indexOf('--')
  const options = args.slice(0, end < 0 ? args.length : end).flatMap((arg) => /^--(?:no-)?([^=]+)/.exec(arg)?.[1] ?? [])
  return options.map(camelCase).find((option, i, all) => all.indexOf(option) !== i)
}

/** The names of a command's options. */
export const optionsOf = (args: ArgsDef): string[] =>
  Object.keys(args).filter((name) => args[name]?.type !== 'positional')

/** A name of several words as the API spells it. */
export const camelCase = (name: string): string => name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase())

/** Options that several commands share, with their types. */
export const sharedArguments = <const T extends ArgsDef>(args: T): T => args

/** For commands that read a checkpoint. */
export const INERT = sharedArguments({
  inert: {
    type: 'string',
    valueHint: 'NAMES',
    description: 'Names that a PyTorch file may refer to and that stand for nothing, with commas between',
  },
})

/** The names of `--inert`, as an option. */
export const inertNames = (inert: string | undefined): { inert?: string[] } =>
  inert === undefined ? {} : { inert: inert.split(',') }

/** The entries of a list with commas between; a backslash before a comma makes it a part of an entry. */
export const commaSeparated = (list: string): string[] =>
  list.split(/(?<!\\),/).map((entry) => entry.replaceAll('\\,', ','))

/** The whole number that an option's text is. */
export function integer(option: string, text: string, least = 0): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= least) return value
  throw optionError(`--${option} is '${text}'.`, `Use a whole number from ${least}.`)
}

/** The same for numbers of things, of which there is one at least. */
export const countOf = (option: string, text: string): number => integer(option, text, 1)

/** The number that an option's text is. */
export function number(option: string, text: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text)
  if (!Number.isFinite(value)) throw optionError(`--${option} is '${text}'.`, 'Use a number.')
  return value
}

/** The number above 0 that an option's text is. */
export function positiveNumber(option: string, text: string): number {
  const value = Number(text)
  if (!(value > 0 && Number.isFinite(value))) throw optionError(`--${option} is '${text}'.`, 'Use a number above 0.')
  return value
}
