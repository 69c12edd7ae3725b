// Optimizers say at once what they cannot work with.
import { beforeAll, expect, test } from 'vitest'
import { Adam, Ema, Ld3mError, Sgd, type Tensor, tensor } from '../../src/autograd.ts'
import { testDevice } from '../support/device.ts'

let parameters: Record<string, Tensor>
let integers: Record<string, Tensor>

beforeAll(async () => {
  parameters = { w: tensor(await testDevice(), [1, 2], { requiresGrad: true }) }
  integers = { w: tensor(await testDevice(), [1, 2], { dtype: 'i32' }) }
})

// biome-ignore lint/suspicious/noExplicitAny: as JavaScript calls it
const make = (f: unknown, ...args: any[]) => new (f as new (...args: any[]) => Sgd)(...args)

const wrong: Record<string, [call: () => unknown, message: string]> = {
  'no options': [() => make(Adam, parameters), 'Adam: its options are undefined. Pass an object; known options:'],
  'a learning rate alone': [() => make(Sgd, parameters, 0.1), 'Sgd: its options are 0.1.'],
  'a text for a learning rate': [() => make(Adam, parameters, { lr: '0.1' }), "Adam: lr is '0.1'. Use a number ≥ 0."],
  'one beta': [() => make(Adam, parameters, { lr: 0.1, betas: 0.9 }), 'Adam: betas is 0.9. Use two numbers'],
  'a momentum of 1': [() => make(Sgd, parameters, { lr: 1, momentum: 1 }), 'momentum is 1. Use a number ≥ 0 and < 1.'],
  'a text for nesterov': [() => make(Sgd, parameters, { lr: 1, nesterov: 'no' }), "Sgd: nesterov is 'no'."],
  'a number for warmup': [() => make(Ema, parameters, { decay: 0.9, warmup: 10 }), 'Ema: warmup is 10.'],
  'no gradients': [
    () => (new Sgd(parameters, { lr: 1 }) as unknown as { step(): void }).step(),
    'Sgd.step: got undefined. Pass an object with a gradient for every parameter.',
  ],
  'a parameter of integers': [() => new Sgd(integers, { lr: 1 }), "Sgd: parameter 'w' must be f32, got i32."],
  'moments for integers': [() => new Adam(integers, { lr: 1 }), "Adam: parameter 'w' must be f32, got i32."],
  'an average of integers': [() => new Ema(integers, { decay: 0.5 }), "Ema: parameter 'w' must be f32, got i32."],
  'gradients of integers': [
    () => new Sgd(parameters, { lr: 1 }).step(integers),
    "Sgd.step: gradient 'w' must be f32, got i32.",
  ],
  'a state of integers': [
    () => new Sgd(parameters, { lr: 1, momentum: 0.9 }).loadStateDict(integers),
    "Sgd.loadStateDict: tensor 'w' must be f32, got i32.",
  ],
}

test.each(Object.entries(wrong))('an optimizer with %s is an error', (_, [call, message]) => {
  expect(call).toThrow(Ld3mError)
  expect(call).toThrow(message)
})
