/** `npm run bench`: times every kernel family; see options.ts. One file a family in bench/families. */
import { writeFile } from 'node:fs/promises'
import process from 'node:process'
import { Ld3mError } from '../src/errors.ts'
import { openDevice } from '../src/node/index.ts'
import { families } from './families/index.ts'
import { clockOf, type Measurement, measure, tableHead, tableRow } from './harness.ts'
import { type BenchOptions, parseOptions, USAGE } from './options.ts'
import { benchTuner } from './tune.ts'

const CLOCKS = {
  timestamps: 'GPU timestamps around each dispatch',
  wall: 'the wall clock around many launches (the adapter has no timestamp queries)',
} as const

async function bench({ json, filter, quick, tune }: BenchOptions): Promise<void> {
  const matches = (...texts: readonly string[]) => texts.some((text) => text.includes(filter))
  const chosen = families.flatMap(({ name, rows }) =>
    rows(quick).flatMap((row) => (matches(name, row.name, row.shape) ? [{ name, row }] : [])),
  )
  if (chosen.length === 0) {
    const names = families.map(({ name }) => name).join(', ')
    throw new Ld3mError('option', `bench: no row contains '${filter}'.`, `The families are ${names}.`)
  }
  if (tune) return await benchTuner(chosen, quick)
  const device = await openDevice()
  const clock = clockOf(device)
  console.log(`${device.info.description}; times are medians, by ${CLOCKS[clock]}\n`)
  console.log(tableHead())
  const rows: Measurement[] = []
  for (const { name, row } of chosen) {
    const measurement = await measure(device, name, row, quick)
    rows.push(measurement)
    console.log(tableRow(measurement))
  }
  if (json !== undefined) {
    const report = { adapter: device.info.description, date: new Date().toISOString(), clock, quick, rows }
    await writeFile(json, `${JSON.stringify(report, null, 2)}\n`)
    console.log(`\nWrote ${rows.length} rows to ${json}`)
  }
  device.destroy()
}

try {
  const options = parseOptions(process.argv.slice(2))
  if (options) await bench(options)
  else console.log(USAGE)
} catch (error) {
  if (!(error instanceof Ld3mError)) throw error
  console.error(error.message)
  process.exitCode = 1
}
