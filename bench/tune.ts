/** `npm run bench -- --tune`: what the tuner chooses for each row, and what that changes. */
import type { Device, TuningRecord } from '../src/gpu/index.ts'
import { openDevice } from '../src/node/index.ts'
import { measure, type Row, runOnce } from './harness.ts'

const milliseconds = (ms: number): string => (ms < 1 ? `${(ms * 1000).toFixed(0)} µs` : `${ms.toFixed(2)} ms`)

/** The records that a row needs, newly measured or known from a row before. */
async function tune(device: Device, row: Row, seen: Map<string, TuningRecord>): Promise<TuningRecord[]> {
  const asked = new Set<string>()
  const { tuner } = device
  tuner.choose = (kernel, shape, ...rest) => {
    asked.add(`${kernel.name} ${shape}`)
    return Object.getPrototypeOf(tuner).choose.call(tuner, kernel, shape, ...rest)
  }
  try {
    await runOnce(device, row)
    await tuner.finish()
  } finally {
    // Uncovers the method again.
    Reflect.deleteProperty(tuner, 'choose')
  }
  for (const record of tuner.export().choices) seen.set(`${record.kernel} ${record.shape}`, record)
  return [...asked].flatMap((name) => seen.get(name) ?? [])
}

/** Tunes each row from nothing, and times it with the default variants and with those chosen, in turn. */
export async function benchTuner(rows: readonly { readonly name: string; readonly row: Row }[], quick: boolean) {
  const log = () => undefined
  const plain = await openDevice({ deterministic: true })
  const tuned = await openDevice({ tune: {}, log })
  const seen = new Map<string, TuningRecord>()
  try {
    console.log(`${tuned.info.description}; the chosen variant is marked, times are medians\n`)
    for (const { name, row } of rows) {
      const records = await tune(tuned, row, seen)
      if (records.length === 0) continue
      console.log(`${row.name} ${row.shape}`)
      for (const { kernel, shape, choice, reason, times } of records) {
        console.log(`  ${kernel}, class ${shape}: ${reason}`)
        for (const [variant, ms] of Object.entries(times)) {
          console.log(`    ${variant === choice ? '→' : ' '} ${milliseconds(ms).padStart(9)}  ${variant}`)
        }
      }
      if (records.every(({ choice, fallback }) => choice === fallback)) continue
      const times: [number, number][] = []
      for (let round = 0; round < (quick ? 1 : 3); round++) {
        times.push([(await measure(plain, name, row, quick)).ms, (await measure(tuned, name, row, quick)).ms])
      }
      const [before, after] = [0, 1].map((i) => times.map((pair) => milliseconds(pair[i] as number)).join(', '))
      console.log(`  the row by default: ${before}; tuned: ${after}`)
    }
    for (const problem of tuned.tuner.problems) console.log(problem)
  } finally {
    plain.destroy()
    tuned.destroy()
  }
}
