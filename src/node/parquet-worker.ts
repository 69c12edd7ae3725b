// The thread that decodes Parquet files (parquet-thread.ts starts it): a file that keeps the reader busy without an end
// keeps this thread busy, which can be stopped.
import { parentPort } from 'node:worker_threads'
import { Ld3mError } from '../errors.ts'
import { type ByteSource, openParquetImages, type ParquetImages } from '../io/index.ts'
import type { ParquetAnswer, ParquetRequest } from './parquet-messages.ts'
import { withFile } from './source.ts'

/** By path and columns. */
const opened = new Map<string, ParquetImages>()

parentPort?.on('message', async (request: ParquetRequest) => {
  const answer = await answerTo(request)
  parentPort?.postMessage(
    answer,
    answer.kind === 'images' ? answer.images.map(({ buffer }) => buffer as ArrayBuffer) : [],
  )
})

async function answerTo({ path, columns, rows }: ParquetRequest): Promise<ParquetAnswer> {
  try {
    const key = JSON.stringify([path, columns])
    const known = opened.get(key) ?? (await openParquetImages(await openFile(path), columns))
    opened.set(key, known)
    const { images, ...file } = known
    if (!rows) return { kind: 'opened', file }
    // Copies: what the reader gives are parts of whole pages.
    return { kind: 'images', images: (await images(...rows)).map((bytes) => bytes.slice()) }
  } catch (error) {
    if (!(error instanceof Ld3mError)) throw error
    const { code, message, fix } = error
    return { kind: 'error', code, what: message.slice(0, -fix.length - 1), fix }
  }
}

/** Opened anew for each range: a dataset of hundreds of files would exhaust what a process may hold open. */
async function openFile(path: string): Promise<ByteSource> {
  const size = await withFile(path, (file) => file.size)
  return { name: path, size, read: (offset, length) => withFile(path, (file) => file.read(offset, length)) }
}

parentPort?.postMessage({ kind: 'ready' } satisfies ParquetAnswer)
