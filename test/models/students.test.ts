import { expect, test } from 'vitest'
import { HostRandom, ops, scope, tensor } from '../../src/autograd/index.ts'
import { dropout } from '../../src/models/dropout.ts'
import {
  alexNet,
  applyModule,
  convNet,
  disposeState,
  Params,
  parameterCount,
  resNet,
  type Student,
  studentByName,
  studentNames,
  vgg,
  vit,
} from '../../src/models/index.ts'
import { expectClose } from '../support/checks.ts'
import { testDevice } from '../support/device.ts'
import { expectGradients, type GradientSummary, goldenState, readGolden, valuesTensor } from '../support/golden.ts'

interface StudentGolden {
  readonly logits: readonly number[]
  readonly loss: number
  readonly gradients: GradientSummary
}

const goldens = readGolden<Record<string, StudentGolden>>('students.json')

const small: Record<string, Student> = {
  ConvNet: convNet({ channels: 3, size: 16, classes: 5, depth: 3, width: 8 }),
  'ConvNet without norm': convNet({ channels: 3, size: 16, classes: 5, depth: 2, width: 8, norm: 'none' }),
  AlexNet: alexNet({ channels: 1, size: 16, classes: 5, widths: [6, 8, 10, 8] }),
  VGG: vgg({ channels: 1, size: 32, classes: 5, widths: [4, 6, 8, 10, 10], poolSize: 1 }),
  ResNet: resNet({ channels: 3, size: 16, classes: 5, widths: [6, 8, 10], blocks: [2, 1, 1] }),
  ViT: vit({ channels: 3, size: 16, classes: 5, patch: 4, width: 12, depth: 2, heads: 2, headWidth: 8, hidden: 20 }),
}

test.each(Object.keys(small))('%s gives the logits, loss and gradients that PyTorch gives', async (name) => {
  const device = await testDevice()
  const student = small[name]!
  const golden = goldens[name]!
  const state = goldenState(device, student, 100)
  const images = valuesTensor(device, 1, [3, ...student.inputShape], -2, 2)
  const leaf = images.leaf()
  const labels = tensor(device, Int32Array.of(0, 1, 2))
  const logits = applyModule(student, state, leaf)
  expect(logits.shape).toEqual([3, 5])
  expectClose(await logits.read(), golden.logits, 1e-4, 'logits')
  const loss = () => ops.crossEntropy(applyModule(student, state, leaf), labels)
  const value = scope(loss)
  expectClose([await value.item()], [golden.loss], 1e-4, 'loss')
  await expectGradients(loss, { ...state, images: leaf }, golden.gradients, 1e-4)
  for (const t of [images, leaf, labels, logits, value]) t.dispose()
  disposeState(state)
})

test('students have as many parameters as the originals', () => {
  const rgb = (size: number) => ({ channels: 3, size, classes: 10 })
  expect(parameterCount(convNet(rgb(32)))).toBe(320_010)
  expect(parameterCount(convNet({ ...rgb(128), depth: 5 }))).toBe(615_690)
  expect(parameterCount(convNet({ ...rgb(256), depth: 6 }))).toBe(763_530)
  expect(parameterCount(resNet(rgb(128)))).toBe(11_173_962)
  // 10 blocks of 512·1536 + 512·512 + 512 and 2·(512·512 + 512), the patches' 768·512 + 512, 65 positions, the class token, the head.
  expect(parameterCount(vit(rgb(128)))).toBe(16_176_650)
})

test('a student says what it takes and what it makes', () => {
  const student = studentByName('ConvNet', { channels: 1, size: [32, 48], classes: 7, width: 16 })
  expect(student).toMatchObject({ name: 'ConvNet-3', inputShape: [1, 32, 48], classes: 7, featureCount: 16 * 4 * 6 })
  expect(Object.keys(student.parameters).slice(0, 3)).toEqual([
    'features.0.weight',
    'features.0.bias',
    'features.1.weight',
  ])
})

test.each(studentNames)('%s runs on small images of any proportions', async (name) => {
  const device = await testDevice()
  const narrow = { AlexNet: { widths: [4, 4, 4] }, VGG: { widths: [4, 4, 4, 4, 4] }, ResNet: { widths: [4, 4, 4] } }
  const transformer = { width: 6, depth: 1, heads: 2, headWidth: 4, hidden: 8 }
  const extra = name === 'ConvNet' ? { width: 4 } : name === 'ViT' ? transformer : narrow[name]
  const student = studentByName(name, { channels: 2, size: [16, 24], classes: 3, ...extra })
  const state = goldenState(device, student, 5)
  const x = valuesTensor(device, 6, [2, 2, 16, 24])
  const features = student.features(new Params(state), x)
  expect(features.shape).toEqual([2, student.featureCount])
  features.dispose()
  x.dispose()
  disposeState(state)
})

test('an option that is undefined has its default', () => {
  const options = { channels: 3, size: 16, classes: 4, width: 8, depth: 1 }
  expect(parameterCount(vit({ ...options, patch: undefined } as never))).toBe(parameterCount(vit(options)))
})

test('mistakes are named at the door', async () => {
  const device = await testDevice()
  const options = { channels: 3, size: 32, classes: 10 }
  expect(() => convNet({ ...options, depth: 6 })).toThrow(/6 blocks halve 32×32 images to nothing.*at most 5/)
  expect(() => convNet({ ...options, width: 0 })).toThrow(/width must be an integer/)
  expect(() => convNet({ ...options, widht: 4 } as never)).toThrow(/unknown option 'widht'/)
  expect(() => convNet({ ...options, norm: 'batch' as never })).toThrow(/unknown norm 'batch'/)
  expect(() => alexNet({ ...options, size: 4 })).toThrow(/too small.*8×8/)
  expect(() => resNet({ ...options, size: 8 })).toThrow(/maps of 1×1/)
  expect(() => vgg({ ...options, widths: [1, 2] })).toThrow(/got 2 widths/)
  expect(() => vit({ ...options, size: 30 })).toThrow(/4×4 do not tile images of 30×30/)
  expect(() => vit({ ...options, dropout: 1 })).toThrow(/dropout is 1/)
  expect(() => convNet({ channels: 3, classes: 2 } as never)).toThrow(/convNet: size is undefined. Give whole numbers/)
  expect(() => convNet({ ...options, size: [32, 0] })).toThrow(/convNet: size is \[32, 0\]/)
  for (const make of [alexNet, vgg, resNet]) {
    expect(() => make({ ...options, widths: 64 as never })).toThrow(/widths must be a list/)
  }
  expect(() => studentByName('LeNet' as 'ConvNet', options)).toThrow(/no student is called 'LeNet'.*ConvNet/)
  const student = convNet({ ...options, width: 4 })
  const x = valuesTensor(device, 1, [2, 1, 32, 32])
  expect(() => applyModule(student, {}, x)).toThrow(/expected images of shape \[N, 3, 32, 32\], got \[2, 1, 32, 32\]/)
  x.dispose()
})

test('dropout drops in training only, as its draws say', async () => {
  const device = await testDevice()
  const student = vit({
    channels: 1,
    size: 8,
    classes: 3,
    patch: 4,
    width: 8,
    depth: 1,
    heads: 1,
    headWidth: 8,
    hidden: 8,
  })
  const state = goldenState(device, student, 7)
  const params = new Params(state)
  const x = valuesTensor(device, 8, [2, 1, 8, 8])
  const draws = (seed: number) => new HostRandom({ seed, stream: 0 })
  const logits = async (random?: HostRandom) => {
    const y = student.apply(params, x, random)
    const values = await y.read()
    y.dispose()
    return values
  }
  const whole = await logits()
  expect(await logits()).toEqual(whole)
  const dropped = await logits(draws(1))
  expect(dropped).not.toEqual(whole)
  expect(await logits(draws(1))).toEqual(dropped)
  expect(await logits(draws(2))).not.toEqual(dropped)
  x.dispose()
  disposeState(state)
})

test('dropout zeroes its share and keeps the mean', async () => {
  const device = await testDevice()
  const x = tensor(device, new Float32Array(40_000).fill(2))
  const y = scope(() => dropout(x, 0.25, new HostRandom({ seed: 3, stream: 0 })))
  const values = await y.read()
  const dropped = values.filter((v) => v === 0).length
  // Four standard deviations of a binomial draw.
  expect(Math.abs(dropped - 10_000)).toBeLessThan(4 * Math.sqrt(40_000 * 0.25 * 0.75))
  expect(values.every((v) => v === 0 || Math.abs(v - 2 / 0.75) < 1e-6)).toBe(true)
  for (const t of [x, y]) t.dispose()
})
