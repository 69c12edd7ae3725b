import process from 'node:process'
import { type Checkpoint, dtypeBytes } from '../io/index.ts'
import { formatBytes, openCheckpointFile } from '../node/index.ts'
import { listed } from '../words.ts'
import { command, INERT, inertNames } from './arguments.ts'

export const inspectCommand = command(
  'inspect',
  'List the tensors of a checkpoint file',
  {
    file: {
      type: 'positional',
      valueHint: 'FILE',
      required: true,
      description: 'safetensors, a PyTorch file (nothing in it is executed), or an index of shards',
    },
    ...INERT,
  },
  async ({ file, inert }) => {
    const checkpoint = await openCheckpointFile(file, inertNames(inert))
    try {
      process.stdout.write(describe(checkpoint))
    } finally {
      await checkpoint.close()
    }
  },
)

/** A line for each tensor, in columns, and a summary. */
function describe({ format, tensors, others, metadata }: Checkpoint): string {
  const rows = [...tensors].map(
    ([name, { dtype, shape }]) => [printable(name), dtype, `[${shape.join(', ')}]`] as const,
  )
  const width = Math.max(0, ...rows.map(([name]) => name.length))
  const lines = rows.map(([name, dtype, shape]) => `${name.padEnd(width)}  ${dtype.padEnd(4)}  ${shape}`)
  let [parameters, bytes] = [0, 0]
  for (const { dtype, shape } of tensors.values()) {
    const count = shape.reduce((n, d) => n * d, 1)
    parameters += count
    bytes += count * dtypeBytes(dtype)
  }
  const counts = `${tensors.size} tensors, ${parameters.toLocaleString('en')} parameters, ${formatBytes(bytes)}`
  lines.push(`${format}: ${counts}`)
  if (others.length > 0) lines.push(`Beside them: ${list(others)}`)
  if (Object.keys(metadata).length > 0) lines.push(`Metadata: ${list(Object.keys(metadata))}`)
  return `${lines.join('\n')}\n`
}

const list = (names: readonly string[]) => listed(names.map(printable), 20)

/** A file's names are not to control the terminal. */
const printable = (name: string) => name.replace(/\p{C}/gu, (c) => `\\u{${c.codePointAt(0)?.toString(16)}}`)
