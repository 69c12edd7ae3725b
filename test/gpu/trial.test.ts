import { describe, expect, test } from 'vitest'
import type { GpuBuffer, Kernel } from '../../src/gpu/index.ts'
import { type Contest, Trial } from '../../src/gpu/trial.ts'
import { Tuner } from '../../src/gpu/tuner.ts'
import type { Workbench } from '../../src/gpu/workbench.ts'

// What the tuner decides from given times. The times themselves are measured in tuner.test.ts.

type Times = (round: number) => number

/** A bench on which each launch of a candidate takes what `times` says, and where those of `broken` do not compile. */
function scripted(times: Record<string, Times>, broken: readonly string[] = [], stepMs = 0) {
  const launched: string[] = []
  const rounds = new Map<string, number>()
  const bench = {
    device: { info: { software: false }, usable: true },
    zeros: () => ({}) as GpuBuffer,
    release: () => undefined,
    async compile(run: () => void) {
      run()
      await new Promise((resolve) => setTimeout(resolve, stepMs))
      return !broken.includes(launched.pop() as string)
    },
    async time(run: () => void) {
      launched.length = 0
      run()
      const name = launched[0] as string
      // The first timing of a round warms up; the second counts.
      const calls = rounds.get(name) ?? 0
      rounds.set(name, calls + 1)
      return launched.length * (times[name] as Times)(Math.floor(calls / 2))
    },
  } as unknown as Workbench
  const contest: Contest<string> = {
    candidates: Object.keys(times).map((name) => [name, name]),
    inputs: [4],
    launch: (_, name) => {
      launched.push(name)
      return {} as GpuBuffer
    },
  }
  return { bench, contest, rounds }
}

async function verdictOf(times: Record<string, Times>, broken: readonly string[] = []) {
  const { bench, contest, rounds } = scripted(times, broken)
  const trial = new Trial(contest)
  while (trial.next !== 'done') expect(await trial.step(bench)).toBe(true)
  return { ...trial.verdict(), rounds }
}

const steady =
  (ms: number): Times =>
  () =>
    ms

describe('a trial', () => {
  test('takes the fastest of those that are clearly faster than the default', async () => {
    const verdict = await verdictOf({ usual: steady(10), better: steady(8), best: steady(6), worse: steady(11) })
    expect(verdict).toMatchObject({ choice: 'best', settled: true })
    expect(verdict.times).toEqual({ usual: 10, better: 8, best: 6, worse: 11 })
    expect(verdict.reason).toContain('40 %')
  })

  test('keeps the default for a gain of less than 5 %, or in too few rounds', async () => {
    expect(await verdictOf({ usual: steady(10), other: steady(9.7) })).toMatchObject({ choice: 'usual', settled: true })
    const lucky: Times = (round) => (round < 3 ? 8 : 11)
    expect(await verdictOf({ usual: steady(10), lucky })).toMatchObject({ choice: 'usual', settled: true })
  })

  test('keeps the default if the winner does not win again', async () => {
    const lucky: Times = (round) => (round < 5 ? 8 : 10)
    const verdict = await verdictOf({ usual: steady(10), lucky, other: steady(9) })
    expect(verdict).toMatchObject({ choice: 'usual', settled: true, times: { usual: 10, lucky: 10, other: 9 } })
    expect(verdict.reason).toMatch(/timed again/)
  })

  test('keeps the default where timing is unreliable, and says so', async () => {
    const noise = [5, 20, 9, 30, 4]
    const noisy: Times = (round) => noise[round % 5] as number
    const verdict = await verdictOf({ usual: noisy, other: steady(3.9) })
    expect(verdict).toMatchObject({ choice: 'usual', settled: false })
    expect(verdict.reason).toMatch(/unreliable/)
  })

  test('is not misled by what slows all alike', async () => {
    const load = [1, 1.1, 1.2, 1.05, 1]
    const slowed =
      (ms: number): Times =>
      (round) =>
        ms * (load[round % 5] as number)
    expect((await verdictOf({ usual: slowed(10), other: slowed(9) })).choice).toBe('other')
  })

  test('gives up on the hopeless after two rounds, and on what does not compile at once', async () => {
    const verdict = await verdictOf({ usual: steady(10), slow: steady(30), broken: steady(1) }, ['broken'])
    expect(verdict).toMatchObject({ choice: 'usual', settled: true, times: { usual: 10, slow: 30 } })
    expect(verdict.reason).toContain('no pipeline for broken')
    expect(verdict.rounds.get('slow')).toBe(4)
    expect(verdict.rounds.has('broken')).toBe(false)
  })

  test('keeps a default that does not compile, for whoever asks to hear why', async () => {
    expect(await verdictOf({ usual: steady(1), other: steady(1) }, ['usual'])).toMatchObject({ choice: 'usual' })
  })
})

test('a tuner stays below its share at any time, and is done in the end', async () => {
  const { bench, contest } = scripted({ usual: steady(10), other: steady(5) }, [], 20)
  const tuner = new Tuner(bench, 'an adapter', 'on', { share: 0.5 })
  const opened = performance.now()
  const kernel = { name: 'k', source: '' } as Kernel
  expect(tuner.choose(kernel, 's', 'usual', 1, () => contest)).toBe('usual')
  while (tuner.pending > 0) {
    await tuner.advance()
    expect(tuner.spent).toBeLessThanOrEqual(0.5 * (performance.now() - opened) + 1)
    await new Promise((resolve) => setTimeout(resolve, 10))
    expect(performance.now() - opened, 'milliseconds').toBeLessThan(20_000)
  }
  expect(tuner.spent).toBeGreaterThan(0)
  expect(tuner.choose(kernel, 's', 'usual', 1, () => contest)).toBe('other')
})
