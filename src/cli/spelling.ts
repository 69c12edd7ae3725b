import type { ArgsDef } from 'citty'
import { camelCase, optionsOf } from './arguments.ts'

/** Options that a command may have for options of the API of another name, and for its functions. */
const RENAMED: Readonly<Record<string, string>> = {
  imagesPerClass: 'ipc',
  learningRate: 'lr',
  'loops.outer': 'outer-loops',
  'loops.inner': 'inner-loops',
  'diffusion.guidance': 'guidance',
  loadPrior: 'prior',
  splitDataset: 'hold-out',
  selectClasses: 'classes',
}

/** Words after which a message names an option of one word, as in 'Give size, in pixels.' */
const VERBS = 'give|pass|leave|leave out|lower|raise|without'

/**
 * A message of the API in the words of a command: `priorClasses` is its `--prior-classes`. Names of several words are
 * found anywhere, those of one word, such as `size`, only where the message surely means the option.
 */
export function inCommandLine(message: string, args: ArgsDef): string {
  let text = message
  for (const option of optionsOf(args)) {
    if (option.includes('-')) text = spelled(text, camelCase(option), `--${option}`)
    else text = text.replace(meant(option), `--${option}`)
  }
  for (const [name, option] of Object.entries(RENAMED)) {
    if (Object.hasOwn(args, option)) text = spelled(text, name, `--${option}`)
  }
  // Which function complains is of no interest beside the option.
  return text === message ? message : text.replace(/^[a-z]\w*: (?=--)/i, '')
}

/** The text with a name replaced, except in paths and quotations. */
const spelled = (text: string, name: string, replacement: string): string =>
  text.replace(new RegExp(`(?<![\\w/.'"\`-])${name.replace('.', '\\.')}(?![\\w/'"\`(-]|\\.\\w)`, 'g'), replacement)

/** Where a message means an option of one word: 'sample: size is 64', 'Give size, in pixels', 'Leave size out'. */
const meant = (option: string): RegExp =>
  new RegExp(`(?<=^(?:\\w+: )?)${option}(?= is )|(?<=\\b(?:${VERBS}) )${option}(?=[.,:;]| out\\b)`, 'gi')
