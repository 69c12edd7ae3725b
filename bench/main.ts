/** `npm run bench`: times every kernel family, or profiles a distillation step; see options.ts. */
import { writeFile } from 'node:fs/promises'
import process from 'node:process'
import { Ld3mError } from '../src/errors.ts'
import { openDevice } from '../src/node/index.ts'
import { families } from './families/index.ts'
import { clockOf, type Measurement, measure, runs, tableHead, tableRow } from './harness.ts'
import { type BenchOptions, parseOptions, USAGE } from './options.ts'
import { profileDistillation } from './profile.ts'
import { benchTuner } from './tune.ts'

const CLOCKS = {
  timestamps: 'GPU timestamps around each dispatch',
  wall: 'the wall clock around many launches (the adapter has no timestamp queries)',
} as const

const write = (file: string, value: unknown) => writeFile(file, `${JSON.stringify(value, null, 2)}\n`)

async function profileStep({ json, trace: traceFile }: BenchOptions): Promise<void> {
  const device = await openDevice()
  const { rows, table, trace } = await profileDistillation(device)
  console.log(`${device.info.description}; one step of the demo's distillation, each kernel in a pass of its own\n`)
  console.log(table)
  if (json !== undefined) {
    await write(json, { adapter: device.info.description, date: new Date().toISOString(), rows })
    console.log(`\nWrote ${rows.length} rows to ${json}`)
  }
  if (traceFile !== undefined) {
    await write(traceFile, trace)
    console.log(`\nWrote the trace to ${traceFile}; open it in chrome://tracing or ui.perfetto.dev`)
  }
  device.destroy()
}

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
  const runnable = chosen.filter(({ row }) => runs(device, row))
  if (runnable.length < chosen.length) {
    console.log(`${chosen.length - runnable.length} rows left out: this adapter has no half precision (shader-f16)`)
  }
  for (const { name, row } of runnable) {
    const measurement = await measure(device, name, row, quick)
    rows.push(measurement)
    console.log(tableRow(measurement))
  }
  if (json !== undefined) {
    const report = { adapter: device.info.description, date: new Date().toISOString(), clock, quick, rows }
    await write(json, report)
    console.log(`\nWrote ${rows.length} rows to ${json}`)
  }
  device.destroy()
}

try {
  const options = parseOptions(process.argv.slice(2))
  if (options?.profile) await profileStep(options)
  else if (options) await bench(options)
  else console.log(USAGE)
} catch (error) {
  if (!(error instanceof Ld3mError)) throw error
  console.error(error.message)
  process.exitCode = 1
}
