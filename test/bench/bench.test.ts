import { describe, expect, test } from 'vitest'
import { attention } from '../../bench/families/attention.ts'
import { gridSample } from '../../bench/families/grid-sample.ts'
import { families } from '../../bench/families/index.ts'
import { indexing } from '../../bench/families/indexing.ts'
import { quantize } from '../../bench/families/quantize.ts'
import { type Family, measure, runOnce, runs, tableRow } from '../../bench/harness.ts'
import { parseOptions } from '../../bench/options.ts'
import { Ld3mError } from '../../src/errors.ts'
import { type Device, kernels } from '../../src/gpu/index.ts'
import { openDevice } from '../../src/node/index.ts'
import { testDevice } from '../support/device.ts'

describe('the bench', () => {
  test('has a row for every kernel, states work for every row, and leaks no memory', async () => {
    const seen = new Set<string>()
    const run = async (device: Device, families: readonly Family[]) => {
      const before = device.memory.current
      for (const { name, rows } of families) {
        for (const row of rows(true).filter((row) => runs(device, row))) {
          const dispatched = await runOnce(device, row)
          for (const kernel of dispatched.kernels) seen.add(kernel)
          expect(dispatched.bytes, `${name}, ${row.name}: bytes`).toBeGreaterThan(0)
        }
      }
      expect(device.memory.current).toBe(before)
    }
    const device = await testDevice()
    await run(device, families)
    // Some kernels are for adapters that are not software, which on a software adapter another device launches.
    const hardware = await openDevice({ likeHardware: true })
    await run(hardware, [attention, gridSample, indexing, quantize])
    hardware.destroy()
    const unseen = [...kernels.keys()].filter((kernel) => !seen.has(kernel)).sort()
    expect(unseen).toEqual(device.info.software ? [] : ['grid_sample_adjoint', 'scatter_add'])
  })

  test('names its rows apart', () => {
    for (const quick of [true, false]) {
      const names = families.flatMap(({ name, rows }) => rows(quick).map((r) => `${name}, ${r.name}, ${r.shape}`))
      expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([])
    }
  })

  test('gives times and rates of a row', async () => {
    const device = await testDevice()
    const [first] = families[0]!.rows(true)
    const measurement = await measure(device, families[0]!.name, first!, true)
    expect(measurement.ms).toBeGreaterThan(0)
    expect(measurement.gbs).toBeGreaterThan(0)
    expect(measurement.kernel).toMatch(/^elementwise\[/)
    expect(tableRow(measurement)).toContain(first!.name)
  })
})

describe('its command line', () => {
  test('reads options', () => {
    expect(parseOptions([])).toEqual({ filter: '', quick: false, tune: false, profile: false })
    expect(parseOptions(['--filter', 'conv', '--json', 'out.json', '--quick'])).toEqual({
      filter: 'conv',
      json: 'out.json',
      quick: true,
      tune: false,
      profile: false,
    })
    expect(parseOptions(['--profile', '--trace', 'trace.json'])).toEqual({
      filter: '',
      quick: false,
      tune: false,
      profile: true,
      trace: 'trace.json',
    })
    expect(parseOptions(['--help'])).toBeUndefined()
  })

  test.each([
    [['--fliter', 'conv']],
    [['conv']],
    [['--json']],
    [['--trace', 'x']],
    [['--profile', '--quick']],
    [['--tune', '--json', 'out.json']],
  ])('refuses %j', (args) => {
    expect(() => parseOptions(args)).toThrow(Ld3mError)
  })
})
