// What callers of JavaScript may pass is an error of this library's that says what came, before anything is computed.
import { beforeAll, describe, expect, test } from 'vitest'
import {
  checkpoint,
  type Device,
  grad,
  Ld3mError,
  ops,
  planMemory,
  random,
  scope,
  type Tensor,
  tensor,
  zeros,
} from '../../src/autograd.ts'
import { testDevice } from '../support/device.ts'

let device: Device
let x: Tensor

beforeAll(async () => {
  device = await testDevice()
  x = tensor(device, [1, 2, 3, 4], { shape: [2, 2], requiresGrad: true })
})

/** A function with its types forgotten, as JavaScript sees it. */
// biome-ignore lint/suspicious/noExplicitAny: that is the point
const untyped = (f: unknown) => f as (...args: any[]) => unknown

const key = { seed: 0, stream: 0 }
const wrong: Record<string, [call: () => unknown, message: string]> = {
  'zeros of a negative size': [() => zeros(device, [-1, 2]), 'zeros: [-1, 2] is not a shape.'],
  'zeros of half a size': [() => zeros(device, [1.5]), 'zeros: [1.5] is not a shape.'],
  'zeros of a number': [() => untyped(zeros)(device, 3), 'zeros: 3 is not a shape. Pass an array of integers ≥ 0.'],
  'zeros of another type': [() => untyped(zeros)(device, [1], 'f64'), "'f64'. Use one of f32, i32, f16."],
  'normal numbers of a negative size': [() => random.normal(device, [-1], key), 'normal: [-1] is not a shape.'],
  'uniform numbers of a number': [() => untyped(random.uniform)(device, 2, key), 'uniform: 2 is not a shape.'],
  'normal numbers without a key': [() => untyped(random.normal)(device, [1]), 'normal: the key is undefined.'],
  'uniform numbers of a stream alone': [
    () => untyped(random.uniform)(device, [1], { stream: 1 }),
    'seed is undefined.',
  ],
  'a fill of a negative size': [() => ops.fill(device, [-2, 3], 1), 'fill: [-2, 3] is not a shape.'],
  'a fill with nothing': [() => untyped(ops.fill)(device, [2]), 'fill: value is undefined. Pass a number.'],
  'integers with a fraction': [
    () => tensor(device, [0, 1.7], { dtype: 'i32' }),
    'tensor: element 1 of the data is 1.7.',
  ],
  'integers that are none': [() => tensor(device, [Number.NaN], { dtype: 'i32' }), 'Elements of i32 are integers from'],
  'integers too large': [() => tensor(device, [2 ** 31], { dtype: 'i32' }), 'element 0 of the data is 2147483648.'],
  'expanding to a negative size': [
    () => ops.broadcastTo(tensor(device, [1, 2, 3], { shape: [1, 3] }), [-1, 3]),
    'broadcastTo: [-1, 3] is not a shape.',
  ],
  'a nested list': [() => untyped(tensor)(device, [[1], [2]]), 'tensor: element 0 of the data is an array.'],
  'a list of texts': [() => untyped(tensor)(device, [1, '2']), "tensor: element 1 of the data is '2'."],
  'a text': [() => untyped(tensor)(device, 'abc'), "tensor: the data is 'abc'."],
  'no data': [() => untyped(tensor)(device), 'tensor: the data is undefined.'],
  'a shape in place of options': [() => untyped(tensor)(device, [1, 2], [2, 1]), 'tensor: its options are an array.'],
  "PyTorch's option": [() => untyped(tensor)(device, [1], { requires_grad: true }), "unknown option 'requires_grad'."],
  'a text for a truth': [() => untyped(tensor)(device, [1], { requiresGrad: 'no' }), "requiresGrad is 'no'."],
  'a list for a tensor': [() => untyped(ops.add)(x, [1, 2]), 'add: input 1 is an array, not a tensor.'],
  'nothing for a tensor': [() => untyped(ops.mul)(x), 'mul: input 1 is undefined, not a tensor.'],
  'numbers alone': [() => untyped(ops.add)(1, 2), 'affine: input 0 is 1, not a tensor.'],
  'a tensor for an exponent': [() => untyped(ops.pow)(x, x), 'pow: exponent is an object. Pass a number.'],
  'clamp without a bound': [() => untyped(ops.clamp)(x, 0), 'clamp: max is undefined.'],
  'clamp to nothing': [() => ops.clamp(x, 1, 0), 'clamp: min is 1, max is 0.'],
  'a truth in place of options': [() => untyped(ops.sum)(x, 0, true), 'sum: its options are true.'],
  "PyTorch's keepdims": [() => untyped(ops.mean)(x, 0, { keepdims: true }), "unknown option 'keepdims'."],
  'a text for keepDims': [() => untyped(ops.max)(x, 0, { keepDims: 'yes' }), "max: keepDims is 'yes'."],
  'a text for axes': [() => untyped(ops.sum)(x, 'rows'), "sum: axes is 'rows'."],
  'sizes one by one': [() => untyped(ops.reshape)(x, 4, 1), 'reshape: shape is 4. Pass an array.'],
  'axes one by one': [() => untyped(ops.permute)(x, 1, 0), 'permute: order is 1.'],
  'tensors one by one': [() => untyped(ops.concat)(x, x, 0), 'concat: tensors is an object.'],
  'stack of one': [() => untyped(ops.stack)(x), 'stack: tensors is an object.'],
  'a gradient of a number': [() => untyped(grad)(3, [x]), 'grad: y is 3, not a tensor.'],
  'a gradient in one tensor': [() => untyped(grad)(ops.sum(x), x), 'grad: xs is an object. Pass an array.'],
  'a gradient in nothing': [
    () => untyped(grad)(ops.sum(x), [x, undefined]),
    'grad: input 1 is undefined, not a tensor.',
  ],
  'a number for gradOutput': [
    () => untyped(grad)(ops.sum(x), [x], { gradOutput: 1 }),
    'gradOutput is 1, not a tensor.',
  ],
  'a checkpoint of one tensor': [() => untyped(checkpoint)(ops.sum, x), 'checkpoint: xs is an object. Pass an array.'],
  'a checkpoint of a number': [() => untyped(checkpoint)(ops.sum, [1]), 'checkpoint: input 0 is 1, not a tensor.'],
  'a truth for grad': [() => untyped(grad)(ops.sum(x), [x], true), 'grad: its options are true.'],
  'a number for createGraph': [() => untyped(grad)(ops.sum(x), [x], { createGraph: 1 }), 'createGraph is 1.'],
  'a device that was not awaited': [
    () => untyped(tensor)(Promise.resolve(device), [1]),
    'tensor: the device is a promise (await it). Pass what openDevice or Device.open gives.',
  ],
  'zeros on no device': [() => untyped(zeros)([2, 3]), 'zeros: the device is an array.'],
  'normal numbers on no device': [() => untyped(random.normal)([1], key), 'normal: the device is an array.'],
  'uniform numbers on no device': [() => untyped(random.uniform)([1], key), 'uniform: the device is an array.'],
  'a fill on no device': [() => untyped(ops.fill)([1], 1), 'fill: the device is an array.'],
  'a plan on no device': [() => untyped(planMemory)(() => x), 'planMemory: the device is a function.'],
  'a promise for a tensor': [() => untyped(ops.relu)(Promise.resolve(x)), 'relu: input 0 is a promise (await it), not'],
  'a checkpoint of a function that waits': [
    () => untyped(checkpoint)(async () => x, [x]),
    'checkpoint: the body returned a promise.',
  ],
  'a checkpoint of a function without a result': [
    () => untyped(checkpoint)(() => undefined, [x]),
    'checkpoint: the function returned undefined, not a tensor.',
  ],
  'a scope that waits': [() => scope(async () => x), 'scope: the body returned a promise.'],
}

describe('a call with what it does not take is an error that shows it', () => {
  test.each(Object.entries(wrong))('%s', (_, [call, message]) => {
    expect(call).toThrow(Ld3mError)
    expect(call).toThrow(message)
  })

  test('write of a nested list leaves the tensor as it was', async () => {
    expect(() => untyped(x.write.bind(x))([[1], [2], [3], [4]])).toThrow('write: element 0 of the data is an array.')
    expect([...(await x.read())]).toEqual([1, 2, 3, 4])
  })
})
