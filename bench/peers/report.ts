/** A whole comparison: rows from the options, the table, the JSON file. */
import { readFile, writeFile } from 'node:fs/promises'
import { Ld3mError } from '../../src/errors.ts'
import { type NodeAdapter, requestAdapter } from '../../src/node/index.ts'
import type { Library } from './library.ts'
import { type PeerOptions, parsePeerOptions, usage } from './options.ts'
import { openOurs } from './ours.ts'
import { type Comparison, compare } from './runner.ts'
import { summaryOf, tableHead, tableRow } from './table.ts'
import { type Work, works } from './works.ts'

/** Who is compared with. */
export interface Field {
  /** The npm script, for messages. */
  readonly script: string
  /** Opens the peers, for the adapter that this library runs on. */
  readonly open: (adapter: NodeAdapter, options: PeerOptions) => Promise<Library[]>
}

/** Runs the command line; an error that a user can cause is printed and sets the exit code. */
export async function main(field: Field, args: readonly string[]): Promise<void> {
  try {
    const options = parsePeerOptions(field.script, args)
    if (options) await run(field, options)
    else console.log(usage(field.script))
  } catch (error) {
    if (!(error instanceof Ld3mError)) throw error
    console.error(error.message)
    process.exitCode = 1
  }
}

async function run(field: Field, options: PeerOptions): Promise<void> {
  const chosen = worksOf(field, options)
  const adapter = await requestAdapter()
  const peers = await field.open(adapter, options)
  const ours = await openOurs(adapter.kind, await packageVersion(''))
  try {
    await compareAll(chosen, adapter, ours, peers, options)
  } finally {
    await Promise.all([ours, ...peers].map((library) => library.close()))
  }
}

async function compareAll(
  chosen: readonly Work[],
  { description }: NodeAdapter,
  ours: Library,
  peers: readonly Library[],
  options: PeerOptions,
): Promise<void> {
  const { json, quick, samples } = options
  const libraries = [ours, ...peers]
  const versions = Object.fromEntries(libraries.map(({ name, version }) => [name, version]))
  console.log(
    Object.entries(versions)
      .map(([name, version]) => `${name} ${version}`)
      .join('; '),
  )
  console.log(`${description}; medians of ${samples}; ratio: the best peer's time over ours\n`)
  console.log(tableHead(Object.keys(versions)))
  const rows: Comparison[] = []
  for (const work of chosen) {
    const row = await compare(work, ours, peers, options)
    rows.push(row)
    console.log(tableRow(row))
    for (const [name, note] of Object.entries(row.notes)) console.log(`  ${name} ${note}`)
  }
  const summary = summaryOf(rows)
  const text = (value: number | null) => (value === null ? 'none' : value.toFixed(2))
  console.log(`\nratio: geometric mean ${text(summary.geometricMean)}, lowest ${text(summary.lowest)}`)
  if (json === undefined) return
  const report = { adapter: description, date: new Date().toISOString(), versions, quick, samples, ...summary, rows }
  await writeFile(json, `${JSON.stringify(report, null, 2)}\n`)
  console.log(`Wrote ${rows.length} rows to ${json}`)
}

function worksOf({ script }: Field, { filter, quick }: PeerOptions): Work[] {
  const all = works(quick)
  const chosen = all.filter(({ name, shape }) => name.includes(filter) || shape.includes(filter))
  if (chosen.length > 0) return chosen
  const names = [...new Set(all.map(({ name }) => name))].join('; ')
  throw new Ld3mError('option', `${script}: no row contains '${filter}'.`, `The works are: ${names}.`)
}

/** The version of an installed package by its name, or of this one by ''. */
export async function packageVersion(name: string): Promise<string> {
  const path = `../../${name === '' ? '' : `node_modules/${name}/`}package.json`
  return JSON.parse(await readFile(new URL(path, import.meta.url), 'utf8')).version
}
