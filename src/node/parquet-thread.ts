import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { dataError, Ld3mError } from '../errors.ts'
import type { ParquetColumns, ParquetImages } from '../io/index.ts'
import type { ParquetAnswer, ParquetRequest } from './parquet-messages.ts'
import { withFile } from './source.ts'

/** Beside this file, in the sources as in the package. */
const PROGRAM = new URL(`./parquet-worker${extname(import.meta.url)}`, import.meta.url)
/** Of the thread, without the images' bytes. */
const HEAP_MEGABYTES = 1024
/** Seconds that starting it may take. */
const START = 60
/** Seconds after which a thread without work ends; the next one opens files anew. */
const IDLE = 30

/** Seconds that an answer may take where nothing is said: more than reading a whole file at 2 MB/s takes. */
const patience = (bytes: number): number => 60 + bytes / 2e6

/** One thread for all files: it works on one request at a time, in order, and is started again after it was stopped. */
let thread: Worker | undefined
let last: Promise<unknown> = Promise.resolve()
let idle: NodeJS.Timeout | undefined

/**
 * Opens a Parquet file of images, which is decoded in a thread of its own: certain damage keeps the reader busy without
 * an end or fills the memory.
 * @param seconds that an answer may take; default a minute, and one more second for each 2 MB of the file
 * @throws Ld3mError `data` if the file is missing or damaged, or decoding takes longer or needs too much memory, as do its
 * `images`
 */
export async function openParquetFile(path: string, columns: ParquetColumns, seconds?: number): Promise<ParquetImages> {
  const limit = seconds ?? patience(await withFile(path, (file) => file.size))
  const opened = await ask({ path, columns }, limit, 'opened')
  const images = async (start: number, end: number) =>
    (await ask({ path, columns, rows: [start, end] }, limit, 'images')).images
  return { ...opened.file, images }
}

async function ask<K extends ParquetAnswer['kind']>(
  request: ParquetRequest,
  seconds: number,
  kind: K,
): Promise<Extract<ParquetAnswer, { kind: K }>> {
  const turn = last.then(() => answerOf(request, seconds))
  last = turn.catch(() => undefined)
  const answer = await turn
  if (answer.kind === kind) return answer as Extract<ParquetAnswer, { kind: K }>
  const { code, what, fix } = answer as Extract<ParquetAnswer, { kind: 'error' }>
  throw new Ld3mError(code, what, fix)
}

/** The thread's answer. Whatever else comes of it, the thread is stopped. */
async function answerOf(request: ParquetRequest, seconds: number): Promise<ParquetAnswer> {
  clearTimeout(idle)
  // While it works, and only then, the process waits for it.
  thread?.ref()
  try {
    thread ??= await start(request.path)
    const answer = nextMessage(thread, request.path, seconds)
    thread.postMessage(request)
    return await answer
  } catch (error) {
    await stop()
    throw error
  } finally {
    thread?.unref()
    idle = setTimeout(stop, 1000 * IDLE).unref()
  }
}

async function start(path: string): Promise<Worker> {
  const worker = new Worker(PROGRAM, { resourceLimits: { maxOldGenerationSizeMb: HEAP_MEGABYTES } })
  // Whoever waits for an answer is told; without one, the next request starts another.
  worker.on('error', () => {
    if (thread === worker) thread = undefined
  })
  try {
    await nextMessage(worker, path, START)
    return worker
  } catch (error) {
    await worker.terminate()
    throw error
  }
}

function nextMessage(worker: Worker, path: string, seconds: number): Promise<ParquetAnswer> {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer)
      worker.off('message', answered).off('error', failed)
    }
    const answered = (answer: ParquetAnswer) => {
      end()
      resolve(answer)
    }
    const failed = (error: Error) => {
      end()
      reject(failure(path, error))
    }
    const timer = setTimeout(() => {
      end()
      reject(tookTooLong(path, seconds))
    }, 1000 * seconds)
    worker.once('message', answered).once('error', failed)
  })
}

async function stop(): Promise<void> {
  const worker = thread
  thread = undefined
  await worker?.terminate()
}

const tookTooLong = (path: string, seconds: number): Ld3mError =>
  dataError(
    `Cannot read ${path}: decoding it took more than ${seconds.toPrecision(3)} s.`,
    'It is damaged, or its disk very slow: fetch it again, or copy it to a faster one.',
  )

function failure(path: string, error: Error & { code?: string }): Ld3mError {
  if (error.code === 'ERR_WORKER_OUT_OF_MEMORY') {
    const what = `Cannot read ${path}: decoding it took more than ${HEAP_MEGABYTES} MiB beside the images.`
    return dataError(what, 'It is damaged; fetch it again.', error)
  }
  return dataError(
    `Cannot read ${path}: the thread that decodes it failed: ${error.message}.`,
    'Use ld3m-gpu/node as it is packed: bundled, it does not find its parquet-worker.js.',
    error,
  )
}
