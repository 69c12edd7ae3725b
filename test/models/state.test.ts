import { expect, test } from 'vitest'
import { grad, ops, scope, tensor } from '../../src/autograd/index.ts'
import {
  applyModule,
  compose,
  conv2d,
  convNet,
  disposeState,
  embedding,
  freeze,
  groupNorm,
  initialize,
  linear,
  loadStateDict,
  type NamedArrays,
  readStateDict,
  relu,
  sequential,
} from '../../src/models/index.ts'
import { expectClose } from '../support/checks.ts'
import { testDevice } from '../support/device.ts'
import { valuesTensor } from '../support/golden.ts'

const student = convNet({ channels: 1, size: 8, classes: 3, depth: 2, width: 4 })

test("initial parameters follow PyTorch's defaults and the seed alone", async () => {
  const device = await testDevice()
  const module = compose(
    {
      conv: conv2d(3, 500, { kernel: 3 }),
      dense: linear(400, 64),
      norm: groupNorm(2, 8),
      table: embedding(100, 64),
      zero: conv2d(2, 2, { kernel: 1, zeroInit: true }),
    },
    () => undefined,
  )
  const states = [1, 1, 2].map((seed) => initialize(device, module, { seed }))
  const [first, same, other] = (await Promise.all(states.map(readStateDict))) as [NamedArrays, NamedArrays, NamedArrays]
  expect(same).toEqual(first)
  expect(other['conv.weight']!.data).not.toEqual(first['conv.weight']!.data)
  // Uniform in ±1/√fanIn: no number beyond, and nearly the full range and the right variance among 13,500 and 25,600.
  for (const [name, fanIn] of [
    ['conv.weight', 27],
    ['dense.weight', 400],
  ] as const) {
    const bound = 1 / Math.sqrt(fanIn)
    const { data } = first[name]!
    expect(Math.max(...data.map(Math.abs))).toBeLessThanOrEqual(bound)
    expect(Math.max(...data)).toBeGreaterThan(0.98 * bound)
    expect(Math.min(...data)).toBeLessThan(-0.98 * bound)
    const variance = data.reduce((s, v) => s + v * v, 0) / data.length
    expect(variance / (bound ** 2 / 3)).toBeCloseTo(1, 1)
  }
  expect(Math.max(...first['conv.bias']!.data.map(Math.abs))).toBeGreaterThan(0)
  const { data } = first['table.weight']!
  expect(data.reduce((s, v) => s + v * v, 0) / data.length).toBeCloseTo(1, 1)
  expect([...first['norm.weight']!.data, ...first['norm.bias']!.data]).toEqual([
    ...new Array(8).fill(1),
    ...new Array(8).fill(0),
  ])
  expect([...first['zero.weight']!.data]).toEqual([0, 0, 0, 0])
  expect(Object.values(states[0]!).every((t) => t.requiresGrad)).toBe(true)
  for (const state of states) disposeState(state)
})

test('a state dict is read and loaded back, with a prefix, from a record or a map', async () => {
  const device = await testDevice()
  const state = initialize(device, student, { seed: 3 })
  const arrays = await readStateDict(state)
  const again = loadStateDict(device, student, arrays)
  expect(await readStateDict(again)).toEqual(arrays)
  const prefixed = new Map(Object.entries(arrays).map(([name, value]) => [`net.${name}`, value]))
  prefixed.set('other', { shape: [1], data: new Float32Array(1) })
  const third = loadStateDict(device, student, prefixed, { prefix: 'net.' })
  expect(await readStateDict(third)).toEqual(arrays)
  for (const s of [state, again, third]) disposeState(s)
})

test('a state dict that does not fit names every tensor that is missing, unexpected or misshapen', async () => {
  const device = await testDevice()
  const arrays: NamedArrays = Object.fromEntries(
    Object.entries(student.parameters).map(([name, { shape }]) => [
      name,
      { shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1)) },
    ]),
  )
  delete arrays['features.0.bias']
  arrays.extra = { shape: [1], data: new Float32Array(1) }
  arrays['classifier.bias'] = { shape: [4], data: new Float32Array(4) }
  expect(() => loadStateDict(device, student, arrays)).toThrow(
    /missing features\.0\.bias; classifier\.bias is \[4\], expected \[3\]; unexpected extra/,
  )
})

test('a module is applied with substituted parameters without being changed, and gradients reach what made them', async () => {
  const device = await testDevice()
  const state = initialize(device, student, { seed: 4 })
  const before = await readStateDict(state)
  const x = valuesTensor(device, 1, [3, 1, 8, 8])
  const labels = tensor(device, Int32Array.of(0, 1, 2))
  const lr = tensor(device, [0.1], { requiresGrad: true })
  const { plain, updated, slope } = scope(() => {
    const loss = (s: typeof state) => ops.crossEntropy(applyModule(student, s, x), labels)
    const first = loss(state)
    const gradients = grad(first, Object.values(state), { createGraph: true })
    const next = Object.fromEntries(
      Object.entries(state).map(([name, w], i) => [name, ops.sub(w, ops.mul(lr, gradients[i]!))]),
    )
    const second = loss(next)
    return { plain: first, updated: second, slope: grad(second, [lr])[0]! }
  })
  expect(await updated.item()).toBeLessThan(await plain.item())
  expect(await slope.item()).toBeLessThan(0)
  expect(await readStateDict(state)).toEqual(before)
  for (const t of [plain, updated, slope, x, labels, lr]) t.dispose()
  disposeState(state)
})

test('a frozen state dict shares the memory and takes no gradients', async () => {
  const device = await testDevice()
  const state = initialize(device, student, { seed: 5 })
  const frozen = freeze(state)
  expect(Object.values(frozen).some((t) => t.requiresGrad)).toBe(false)
  state['classifier.bias']!.write(Float32Array.of(1, 2, 3))
  expect([...(await frozen['classifier.bias']!.read())]).toEqual([1, 2, 3])
  disposeState(state)
  disposeState(frozen)
})

test('applying a module frees everything but its result', async () => {
  const device = await testDevice()
  const state = freeze(initialize(device, student, { seed: 6 }))
  const x = valuesTensor(device, 1, [2, 1, 8, 8])
  // The first time makes the packed weights that stay with the weights.
  applyModule(student, state, x).dispose()
  const before = device.memory.current
  applyModule(student, state, x).dispose()
  expect(device.memory.current).toBe(before)
  x.dispose()
})

test('a sequence applies its children in order, under their keys', async () => {
  const device = await testDevice()
  const module = sequential({ 1: linear(2, 3), 4: relu, 7: linear(3, 1, { bias: false }) })
  expect(Object.keys(module.parameters)).toEqual(['1.weight', '1.bias', '7.weight'])
  const state = loadStateDict(device, module, {
    '1.weight': { shape: [3, 2], data: Float32Array.of(1, 0, 0, 1, -1, -1) },
    '1.bias': { shape: [3], data: Float32Array.of(0, 1, 0) },
    '7.weight': { shape: [1, 3], data: Float32Array.of(1, 10, 100) },
  })
  const y = applyModule(module, state, tensor(device, [2, 3, -4, 1], { shape: [2, 2] }))
  expectClose(await y.read(), [2 + 40, 20 + 300], 1e-6, 'sequence')
  expect(y.shape).toEqual([2, 1])
  y.dispose()
  disposeState(state)
})

test('a state dict whose names all have the same beginning is an error that tells it', async () => {
  const device = await testDevice()
  const state = initialize(device, student, { seed: 0 })
  const arrays = await readStateDict(state)
  disposeState(state)
  const prefixed = Object.fromEntries(Object.entries(arrays).map(([name, value]) => [`net.${name}`, value]))
  expect(() => loadStateDict(device, student, prefixed)).toThrow("Every name is there after 'net.': pass it as")
  const { [`net.${Object.keys(arrays).at(-1)}`]: _, ...incomplete } = prefixed
  expect(() => loadStateDict(device, student, incomplete)).toThrow('Load the file made for this model.')
})
