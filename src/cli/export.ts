import { existsSync } from 'node:fs'
import process from 'node:process'
import { optionError } from '../errors.ts'
import { type DistilledSet, distilledToNpz, distilledToSafetensors } from '../ld3m/index.ts'
import { readRunResult, writeFileAtomic, writeImageFolder } from '../node/index.ts'
import { counted } from '../words.ts'
import { command } from './arguments.ts'

const FORMATS = ['npz', 'folder', 'safetensors'] as const

export const exportCommand = command(
  'export',
  'Write the distilled set of a run for other programs to train on',
  {
    run: { type: 'string', valueHint: 'DIR', required: true, description: 'A folder that distill saved' },
    format: {
      type: 'enum',
      options: [...FORMATS],
      required: true,
      description: "NumPy's arrays, a folder of 8-bit PNG files a class, or all tensors",
    },
    out: { type: 'string', valueHint: 'PATH', required: true, description: 'The file or folder to write' },
    force: { type: 'boolean', default: false, description: 'Replace the file, or the folder of an earlier export' },
  },
  async ({ run, format, out, force }) => {
    const set = await readRunResult(run)
    if (format === 'folder') await writeImageFolder(out, set, { replace: force })
    else await writeNewFile(out, set, format === 'npz' ? distilledToNpz : distilledToSafetensors, force)
    process.stdout.write(`${counted(set.labels.length, 'image')} in ${out}\n`)
  },
)

async function writeNewFile(
  path: string,
  set: DistilledSet,
  toBytes: (set: DistilledSet) => Uint8Array,
  replace: boolean,
): Promise<void> {
  if (!replace && existsSync(path)) {
    throw optionError(`There is a file ${path} already.`, 'Name a new one, or replace it with --force.')
  }
  await writeFileAtomic(path, toBytes(set))
}
