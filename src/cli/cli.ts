import process from 'node:process'
import { stripVTControlCharacters } from 'node:util'
import { type CommandDef, defineCommand, renderUsage, runCommand } from 'citty'
import { didYouMean } from '../did-you-mean.ts'
import { Ld3mError } from '../errors.ts'
import { distillCommand } from './distill.ts'
import { doctorCommand } from './doctor.ts'
import { evaluateCommand } from './evaluate.ts'
import { expertsCommand } from './experts.ts'
import { exportCommand } from './export.ts'
import { inspectCommand } from './inspect.ts'
import { reproduceCommand } from './reproduce.ts'
import { sampleCommand } from './sample.ts'
import { inCommandLine } from './spelling.ts'
import { trainPriorCommand } from './train-prior.ts'

// biome-ignore lint/suspicious/noExplicitAny: citty's own type for commands whose arguments differ.
const COMMANDS: Readonly<Record<string, CommandDef<any>>> = {
  doctor: doctorCommand,
  distill: distillCommand,
  evaluate: evaluateCommand,
  experts: expertsCommand,
  export: exportCommand,
  inspect: inspectCommand,
  reproduce: reproduceCommand,
  sample: sampleCommand,
  'train-prior': trainPriorCommand,
}

/** What a shell reports for a process that SIGINT ended. */
const INTERRUPTED = 130

/**
 * Runs one command.
 * @returns the process's exit code: 0; 1 after an error, which was printed with its remedy; 130 if it was interrupted
 */
export async function runCli(version: string, args: readonly string[]): Promise<number> {
  const main = defineCommand({
    meta: { name: 'ld3m-gpu', version, description: 'Dataset distillation with latent diffusion models' },
    subCommands: COMMANDS,
  })
  const [name = '--help', ...rest] = args
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  try {
    if (name === '--version') print(version)
    else if (name === '--help' || name === '-h') print(await renderUsage(main))
    else {
      if (!command) {
        throw new Ld3mError(
          'option',
          `There is no command '${name}'.`,
          `${didYouMean(name, Object.keys(COMMANDS))}Commands: ${Object.keys(COMMANDS).join(', ')}.`,
        )
      }
      if (rest.includes('--help') || rest.includes('-h')) print(await renderUsage(command, main))
      else await runCommand(command, { rawArgs: rest })
    }
    return 0
  } catch (error) {
    // citty does not export its error class; it throws it for arguments that are missing or not one of the choices.
    const ofUser = error instanceof Ld3mError || (error instanceof Error && error.name === 'CLIError')
    if (!ofUser) throw error
    const message = stripVTControlCharacters(error.message)
    process.stderr.write(`${inCommandLine(message, command?.args ?? {})}\n`)
    return error instanceof Ld3mError && error.code === 'aborted' ? INTERRUPTED : 1
  }
}

/** citty colours its usage texts also where nobody sees colours. */
const print = (text: string): void => {
  process.stdout.write(`${process.stdout.isTTY ? text : stripVTControlCharacters(text)}\n`)
}
