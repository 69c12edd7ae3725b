// Layers are made of what can be a layer: sizes and options of the wrong kind are errors where they are given.
import { expect, test } from 'vitest'
import { Ld3mError, scope, zeros } from '../../src/autograd.ts'
import {
  applyModule,
  conv2d,
  embedding,
  groupNorm,
  initialize,
  layerNorm,
  linear,
  relu,
  sequential,
} from '../../src/models.ts'
import { testDevice } from '../support/device.ts'

// biome-ignore lint/suspicious/noExplicitAny: as JavaScript calls it
const untyped = (f: unknown) => f as (...args: any[]) => unknown

const wrong: Record<string, [call: () => unknown, message: string]> = {
  'a text for a size': [() => untyped(linear)('2', 3), "linear: inFeatures must be an integer of at least 1, got '2'."],
  'a negative size': [() => linear(-2, 3), 'linear: inFeatures must be an integer of at least 1, got -2.'],
  'a truth in place of options': [() => untyped(linear)(2, 3, false), 'linear: its options are false.'],
  'a number for a truth': [() => untyped(linear)(2, 3, { bias: 0 }), 'linear: bias is 0. Use true or false.'],
  'no options': [() => untyped(conv2d)(2, 3), 'conv2d: its options are undefined. Pass an object; known options:'],
  'a kernel alone': [() => untyped(conv2d)(2, 3, 3), 'conv2d: its options are 3.'],
  "PyTorch's option": [() => untyped(conv2d)(2, 3, { kernel_size: 3 }), "conv2d: unknown option 'kernel_size'."],
  'no kernel': [() => untyped(conv2d)(2, 3, {}), 'conv2d: kernel must be an integer of at least 1, got undefined.'],
  'no groups': [() => groupNorm(0, 4), 'groupNorm: groups must be an integer of at least 1, got 0.'],
  'no features': [() => untyped(layerNorm)(), 'layerNorm: features must be an integer of at least 1, got undefined.'],
  'half a row': [() => embedding(1.5, 2), 'embedding: count must be an integer of at least 1, got 1.5.'],
  'modules one by one': [
    () => untyped(sequential)(linear(2, 3), relu),
    "child 'parameters' is an object, not a module.",
  ],
}

test.each(Object.entries(wrong))('a layer of %s is an error', (_, [call, message]) => {
  expect(call).toThrow(Ld3mError)
  expect(call).toThrow(message)
})

test('a linear layer names itself and what it takes where another shape comes', async () => {
  const device = await testDevice()
  scope(() => {
    const layer = linear(2, 3)
    const parameters = initialize(device, layer, { seed: 0 })
    const given = (shape: number[]) => () => applyModule(layer, parameters, zeros(device, shape))
    expect(given([4, 5])).toThrow(expect.objectContaining({ name: 'Ld3mError', code: 'shape' }))
    expect(given([4, 5])).toThrow('linear: takes [..., 2], got [4, 5].')
    expect(given([2])).toThrow('linear: takes [..., 2], got [2].')
    expect(given([1, 4, 2])().shape).toEqual([1, 4, 3])
  })
})
