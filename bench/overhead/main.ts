/**
 * `npm run bench:overhead`: the CPU's time for a dispatch and for an op, on Dawn's null backend, where no kernel runs.
 */
import { writeFile } from 'node:fs/promises'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { Ld3mError, optionError } from '../../src/errors.ts'
import { type Overhead, overheadOf, type Spread } from './measure.ts'
import { openNullDevice } from './null-device.ts'
import { workOn } from './work.ts'

const USAGE = `Usage: npm run bench:overhead -- [--json FILE] [--quick] [--check]

  --json FILE  write the measurements to FILE
  --quick      few samples: shows that everything runs
  --check      exit with status 1 if a median is above its target
  --help       this text`

function readOptions() {
  const options = {
    json: { type: 'string' },
    quick: { type: 'boolean', default: false },
    check: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  } as const
  try {
    return parseArgs({ options, allowPositionals: false }).values
  } catch (error) {
    throw optionError(`bench:overhead: ${(error as Error).message.split('. ')[0]}.`, 'See --help for the options.')
  }
}

const us = (spread: Spread | undefined): string =>
  spread ? `${spread.median.toFixed(1)} (${spread.p90.toFixed(1)})` : '–'

const line = (name: string, counts: string, op: string, dispatch: string, target: string): string =>
  `${name.padEnd(62)} ${counts.padStart(9)} ${op.padStart(14)} ${dispatch.padStart(14)}  ${target}`

function tableRow({ name, ops, dispatches, op, dispatch, unit, target }: Overhead): string {
  return line(
    name,
    `${ops}/${dispatches}`,
    us(op),
    us(dispatch),
    target ? `≤ ${target} µs a${unit === 'op' ? 'n op' : ' dispatch'}` : '',
  )
}

const missed = ({ op, dispatch, unit, target }: Overhead): boolean =>
  target !== undefined && ((unit === 'op' ? op : dispatch) as Spread).median > target

async function main(): Promise<void> {
  const { json, quick, check, help } = readOptions()
  if (help) {
    console.log(USAGE)
    return
  }
  const device = await openNullDevice()
  console.log("µs of the CPU on Dawn's null backend: median (90th percentile) over samples\n")
  console.log(line('what', 'ops/disp.', 'an op', 'a dispatch', 'target'))
  const rows: Overhead[] = []
  for (const work of workOn(device)) {
    const row = await overheadOf(device, work, quick ? 3 : 300)
    rows.push(row)
    console.log(tableRow(row))
  }
  if (json !== undefined) {
    await writeFile(
      json,
      `${JSON.stringify({ node: process.version, date: new Date().toISOString(), quick, rows }, null, 2)}\n`,
    )
  }
  const late = rows.filter(missed)
  if (check && late.length > 0) {
    console.error(`\nAbove target: ${late.map(({ name }) => name).join('; ')}`)
    process.exitCode = 1
  }
  device.destroy()
}

try {
  await main()
} catch (error) {
  if (!(error instanceof Ld3mError)) throw error
  console.error(error.message)
  process.exitCode = 1
}
