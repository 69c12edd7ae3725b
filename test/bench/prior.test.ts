import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { configOf, parsePriorOptions } from '../../bench/prior/options.ts'
import { ldmImageNet } from '../../src/ld3m/index.ts'

test('the bench of the full-size prior gives time and memory of every work', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ld3m-gpu-test-'))
  try {
    const json = join(folder, 'prior.json')
    const args = ['--import', './scripts/register.mjs', 'bench/prior/main.ts', '--quick', '--json', json]
    const { stdout } = await promisify(execFile)(process.execPath, args)
    const { adapter, dtype, rows, plans } = JSON.parse(await readFile(json, 'utf8'))
    expect(adapter).toMatch(/\w/)
    expect(dtype).toBe('f32')
    expect(rows).toHaveLength(6)
    const by = Object.fromEntries(rows.map((row: { work: string }) => [row.work, row]))
    for (const { work, seconds, peakBytes } of rows) {
      expect(stdout).toContain(work)
      expect(seconds, work).toBeGreaterThan(0)
      expect(peakBytes, work).toBeGreaterThan(0)
    }
    const guided = 'predict with guidance, with gradients'
    expect(by[`${guided}, block by block`].peakBytes).toBeLessThan(by[guided].peakBytes)
    expect(plans.true).toBeLessThan(plans.false)
    expect(plans.blocks).toBeLessThanOrEqual(plans.true)
  } finally {
    await rm(folder, { recursive: true })
  }
})

test('its options say what prior is measured', () => {
  expect(configOf(parsePriorOptions(['--size', '64'])!)).toEqual(ldmImageNet({ size: 64 }))
  expect(parsePriorOptions(['--dtype', 'f16', '--torch'])).toMatchObject({ dtype: 'f16', torch: true, samples: 3 })
  expect(parsePriorOptions(['--help'])).toBeUndefined()
  expect(() => parsePriorOptions(['--dtype', 'f64'])).toThrow(/--dtype is 'f64'. Use f32 or f16/)
  expect(() => parsePriorOptions(['--samples', '0'])).toThrow(/--samples is '0'/)
  expect(() => configOf(parsePriorOptions(['--size', '100'])!)).toThrow(/size is 100/)
})
