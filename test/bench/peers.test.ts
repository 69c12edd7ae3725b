import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Arrays, distance, uniform } from '../../bench/peers/arrays.ts'
import type { Library } from '../../bench/peers/library.ts'
import { parsePeerOptions } from '../../bench/peers/options.ts'
import { type Comparison, compare } from '../../bench/peers/runner.ts'
import { summaryOf } from '../../bench/peers/table.ts'
import { type Work, works } from '../../bench/peers/works.ts'
import { Ld3mError } from '../../src/errors.ts'

const vector = (...values: number[]) => ({ shape: [values.length], data: Float32Array.from(values) })

describe('the bench against peers', () => {
  test('does every work in every library that can, and they agree', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'ld3m-gpu-test-'))
    try {
      const json = join(folder, 'peers.json')
      const args = ['--import', './scripts/register.mjs', 'bench/peers/main.ts', '--quick', '--json', json]
      // A process of its own: it makes globals that browsers have.
      const { stdout } = await promisify(execFile)(process.execPath, args)
      const report = JSON.parse(await readFile(json, 'utf8'))
      expect(Object.keys(report.versions)).toEqual(['ld3m-gpu', 'tensorflow.js', 'jax-js'])
      expect(report.adapter).toMatch(/\w/)
      expect(Date.parse(report.date)).not.toBeNaN()
      expect(report).toMatchObject({ quick: true, samples: 1, lowest: expect.any(Number) })
      expect(report.geometricMean).toBeGreaterThanOrEqual(report.lowest)
      const rows: Comparison[] = report.rows
      expect(rows.map(({ work, shape }) => `${work} ${shape}`)).toEqual(
        works(true).map(({ name, shape }) => `${name} ${shape}`),
      )
      for (const { work, ours, peers, notes, ratio } of rows) {
        const secondOrder = work === 'gradient matching step'
        expect(ours.ms, work).toBeGreaterThan(0)
        expect(peers['jax-js'], work).toMatchObject({ ms: expect.any(Number) })
        if (secondOrder) expect(notes).toEqual({ 'tensorflow.js': expect.stringContaining('Conv2DBackpropFilter') })
        else expect(notes, work).toEqual({})
        const times = Object.values(peers).flatMap((peer) => (peer === 'unsupported' ? [] : [peer.ms]))
        expect(times, work).toHaveLength(secondOrder ? 1 : 2)
        expect(ratio, work).toBeCloseTo(Math.min(...times) / ours.ms, 9)
        expect(stdout).toContain(work)
      }
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  test('names its rows apart', () => {
    for (const quick of [true, false]) {
      const names = works(quick).map(({ name, shape }) => `${name} ${shape}`)
      expect(new Set(names).size).toBe(names.length)
    }
  })

  test('counts the operations of a training step', () => {
    const step = works(false).find(({ name }) => name === 'training step')
    // Forward 2·32·9·64·(3·32² + 64·16² + 64·8²) and 2·32·1024·10; backward twice that, less the images' gradient.
    const forward = 2 * 32 * 9 * 64 * (3 * 1024 + 64 * 256 + 64 * 64) + 2 * 32 * 1024 * 10
    expect(step?.flops).toBe(3 * forward - 2 * 32 * 9 * 64 * 3 * 1024)
  })
})

describe('the bench against PyTorch', () => {
  const run = promisify(execFile)
  const args = ['--import', './scripts/register.mjs', 'bench/peers/torch-main.ts', '--quick', '--filter', 'forward']

  // Not every machine has PyTorch, which npm cannot install.
  test('agrees with it, or says how to install it', async () => {
    const outcome = await run(process.execPath, args).catch((error: { code: number; stderr: string }) => error)
    if ('code' in outcome) {
      expect(outcome.code).toBe(1)
      expect(outcome.stderr).toContain('PyTorch does not run')
      expect(outcome.stderr).toContain('apt-get install python3-torch')
    } else {
      expect(outcome.stdout).toContain('ratio: geometric mean')
      expect(outcome.stdout).not.toMatch(/unsupported|throws|wrong/)
    }
  })
})

describe('its rows', () => {
  const work: Work = { name: 'work', shape: '1', task: { op: 'matmul' }, inputs: () => ({}), flops: 4e6 }
  const options = { quick: false, samples: 4 }

  /** A library that gives these results, and takes the next of these times an execution. */
  const library = (name: string, results: Arrays | Error, times: readonly number[] = [60]): Library => {
    let call = 0
    return {
      ...{ name, version: '1' },
      prepare: async () => ({
        async first() {
          if (results instanceof Error) throw results
          return results
        },
        time: async (count) => (times[call++ % times.length] as number) * count,
        dispose() {},
      }),
      close: async () => {},
    }
  }

  test('hold medians, rates, and the best peer over ours', async () => {
    const y = { y: vector(1, 2) }
    // The first time is the one that decides how many executions make a sample.
    const ours = library('ours', y, [60, 10, 40, 20, 90])
    const row = await compare(work, ours, [library('slow', y, [90]), library('fast', y, [45])], options)
    expect(row.ours).toEqual({ ms: 30, gflops: 4e6 / 30 / 1e6 })
    expect(row).toMatchObject({ peers: { slow: { ms: 90 }, fast: { ms: 45 } }, notes: {}, ratio: 1.5 })
  })

  test('say why a peer is unsupported', async () => {
    const y = { y: vector(1, 2), dx: vector(3, 4) }
    const peers = [
      library('throws', new Error('not that\nsecond line')),
      library('zeros', { ...y, dx: vector(0, 0) }),
      library('wrong', { ...y, dx: vector(3, 4.1) }),
      library('right', { ...y, dx: vector(3, 4.001) }),
    ]
    const row = await compare(work, library('ours', y), peers, options)
    expect(row.peers).toMatchObject({ throws: 'unsupported', zeros: 'unsupported', wrong: 'unsupported' })
    expect(row.notes).toEqual({
      throws: 'throws: not that',
      zeros: 'gives a wrong result: silent zeros for dx',
      wrong: expect.stringMatching(/^gives a wrong result: differs by 0\.024/),
    })
    expect(row.ratio).toBe(1)
  })

  test('are refused where nobody confirms our result', async () => {
    const peers = [library('peer', { y: vector(1, 3) }), library('other', new Error('no'))]
    const comparison = compare(work, library('ours', { y: vector(1, 2) }), peers, options)
    await expect(comparison).rejects.toThrow(/nobody confirms ours's result: peer gives a wrong result/)
  })

  test('have no ratio where no peer can do the work', async () => {
    const row = await compare(work, library('ours', { y: vector(1) }), [library('peer', new Error('no'))], options)
    expect(row.ratio).toBeNull()
    expect(summaryOf([row])).toEqual({ geometricMean: null, lowest: null })
  })

  test('sum up to a geometric mean and the lowest ratio', async () => {
    const rows = await Promise.all(
      [30, 120].map((ms) =>
        compare(work, library('ours', { y: vector(1) }), [library('peer', { y: vector(1) }, [ms])], options),
      ),
    )
    expect(summaryOf(rows).geometricMean).toBeCloseTo(1, 12)
    expect(summaryOf(rows).lowest).toBe(0.5)
  })
})

describe('the distance of results', () => {
  test('is the difference put in, relative to the largest magnitude', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 99 }), fc.double({ min: 1e-3, max: 0.5, noNaN: true }), (at, by) => {
        const a = uniform([100], at)
        const largest = Math.max(...a.data.map(Math.abs))
        const data = a.data.map((x, i) => (i === at ? x * (1 - by) : x))
        const expected = (Math.abs(a.data[at] as number) * by) / largest
        expect(distance({ a }, { a: { ...a, data } })).toBeCloseTo(expected, 5)
      }),
    )
  })

  test('is infinite for missing arrays, other lengths and what is not finite', () => {
    for (const other of [{}, { y: vector(1) }, { y: vector(1, Number.NaN) }]) {
      expect(distance({ y: vector(1, 2) }, other)).toBe(Number.POSITIVE_INFINITY)
    }
  })
})

describe('its command line', () => {
  test('reads options', () => {
    expect(parsePeerOptions('bench:peers', [])).toEqual({ filter: '', quick: false, samples: 5, cuda: false })
    const args = ['--filter', 'conv', '--json', 'out.json', '--samples', '7', '--quick']
    const read = { filter: 'conv', json: 'out.json', samples: 7, quick: true, cuda: false }
    expect(parsePeerOptions('bench:peers', args)).toEqual(read)
    const torch = ['--cuda', '--python', 'python3.12']
    expect(parsePeerOptions('bench:torch', torch)).toMatchObject({ cuda: true, python: 'python3.12' })
    expect(parsePeerOptions('bench:peers', ['--quick'])?.samples).toBe(1)
    expect(parsePeerOptions('bench:peers', ['--help'])).toBeUndefined()
  })

  test.each([
    [['--smaples', '7']],
    [['conv']],
    [['--json']],
    [['--samples', '0']],
    [['--samples', 'few']],
    [['--cuda']],
  ])('refuses %j', (args) => {
    expect(() => parsePeerOptions('bench:peers', args)).toThrow(Ld3mError)
  })
})
