import { expect, test } from 'vitest'
import { ops, scope, tensor } from '../../src/autograd/index.ts'
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
  const extra = name === 'ConvNet' ? { width: 4 } : narrow[name]
  const student = studentByName(name, { channels: 2, size: [16, 24], classes: 3, ...extra })
  const state = goldenState(device, student, 5)
  const x = valuesTensor(device, 6, [2, 2, 16, 24])
  const features = student.features(new Params(state), x)
  expect(features.shape).toEqual([2, student.featureCount])
  features.dispose()
  x.dispose()
  disposeState(state)
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
  expect(() => studentByName('LeNet' as 'ConvNet', options)).toThrow(/no student is called 'LeNet'.*ConvNet/)
  const student = convNet({ ...options, width: 4 })
  const x = valuesTensor(device, 1, [2, 1, 32, 32])
  expect(() => applyModule(student, {}, x)).toThrow(/expected images of shape \[N, 3, 32, 32\], got \[2, 1, 32, 32\]/)
  x.dispose()
})
