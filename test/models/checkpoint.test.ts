import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import {
  byteSource,
  type Checkpoint,
  openCheckpoint,
  type StoredTensor,
  toFloat32,
  toHalfBits,
  writeSafetensors,
} from '../../src/io/index.ts'
import { priorFromCheckpoint } from '../../src/ld3m/index.ts'
import {
  disposeState,
  linear,
  loadCheckpoint,
  type ParameterSpec,
  readStateDict,
  sequential,
} from '../../src/models/index.ts'
import { testDevice } from '../support/device.ts'
import { tinyPrior } from '../support/tiny.ts'

const device = await testDevice()
const half = device.info.features.has('shader-f16')

const goldenBytes = (name: string) =>
  new Uint8Array(readFileSync(new URL(`../golden/checkpoints/${name}`, import.meta.url)))
const golden = (name: string) => openCheckpoint(byteSource(goldenBytes(name), name))
const stored = (tensors: Record<string, StoredTensor>) =>
  openCheckpoint(byteSource(writeSafetensors(new Map(Object.entries(tensors))), 'model.safetensors'))

/** A module that has the tensors of a checkpoint, less those that are no numbers, under `prefix`. */
function moduleOf(checkpoint: Checkpoint, prefix: string): { parameters: Record<string, ParameterSpec> } {
  const specs = [...checkpoint.tensors].filter(([name]) => name.startsWith(prefix))
  return {
    parameters: Object.fromEntries(
      specs.map(([name, { shape }]) => [
        name.slice(prefix.length),
        { shape, init: { kind: 'constant', value: 0 }, half: true } as const,
      ]),
    ),
  }
}

test('parameters come from files of torch.save, whatever their dtypes and strides', async () => {
  for (const [file, prefix] of [
    ['nested.pt', 'model.'],
    ['nested-legacy.pt', 'model.'],
    ['views.pt', 's'],
    ['lightning.pt', '0.'],
  ] as const) {
    const checkpoint = await golden(file)
    const module = moduleOf(checkpoint, prefix)
    const state = await loadCheckpoint(device, module, checkpoint, { prefix })
    expect(Object.values(state).every((t) => t.requiresGrad)).toBe(true)
    for (const [name, { shape, data }] of Object.entries(await readStateDict(state))) {
      const tensor = await checkpoint.read(prefix + name)
      expect({ shape, data }).toEqual({ shape: tensor.shape, data: toFloat32(tensor) })
    }
    disposeState(state)
  }
})

test('a tensor of several pieces arrives whole, and in f16 rounded as one', async () => {
  for (const [dtype, shape] of [
    ['F32', [2100, 2001]],
    ['F16', [3, 5]],
  ] as const) {
    const data = Float32Array.from({ length: shape[0] * shape[1] }, (_, i) => (i % 2001) / 3)
    const bits = toHalfBits(data)
    const tensor: StoredTensor = dtype === 'F32' ? { dtype, shape, data } : { dtype, shape, data: bits }
    const checkpoint = await stored({ weight: tensor })
    const module = linear(shape[1], shape[0], { bias: false })
    const state = await loadCheckpoint(device, module, checkpoint)
    expect(Buffer.compare(bytesOf(await state.weight!.read()), bytesOf(toFloat32(tensor)))).toBe(0)
    disposeState(state)
    if (!half) continue
    const frozen = await loadCheckpoint(device, module, checkpoint, { dtype: 'f16' })
    expect(frozen.weight!.dtype).toBe('f16')
    expect(frozen.weight!.requiresGrad).toBe(false)
    const rounded = toFloat32({ dtype: 'F16', shape, data: bits })
    expect(Buffer.compare(bytesOf(await frozen.weight!.read()), bytesOf(rounded))).toBe(0)
    disposeState(frozen)
  }
})

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array) => new Uint8Array(buffer, byteOffset, byteLength)

test('a checkpoint that does not fit names every tensor that is missing, unexpected or misshapen, and loads nothing', async () => {
  const before = device.memory.current
  const one = { dtype: 'F32', shape: [1], data: new Float32Array(1) } as const
  const checkpoint = await stored({ 'net.weight': one, 'net.toString': one, 'net.constructor': one, other: one })
  await expect(loadCheckpoint(device, linear(2, 1), checkpoint, { prefix: 'net.' })).rejects.toThrow(
    /missing bias; weight is \[1\], expected \[1,2\]; unexpected constructor, toString/,
  )
  expect(device.memory.current).toBe(before)
})

test('where all names differ, an error shows some of those that are missing and of those that are there', async () => {
  const layers = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [i, linear(1, 1)]))
  const module = sequential(layers)
  const one = { dtype: 'F32', shape: [1], data: new Float32Array(1) } as const
  const names = Object.keys(module.parameters).map((name) => `module.${name}`)
  const checkpoint = await stored(Object.fromEntries(names.map((name) => [name, one])))
  await expect(loadCheckpoint(device, module, checkpoint)).rejects.toThrow(
    /missing 0\.weight, .*, and 70 more; unexpected module\.0\.bias, .*after 'module\.': pass it as the option prefix/,
  )
})

test('what is no number is refused by name, and half precision takes finite numbers', async () => {
  const module = linear(1, 1, { bias: false })
  const whole = await stored({ weight: { dtype: 'I64', shape: [1, 1], data: BigInt64Array.of(1n) } })
  await expect(loadCheckpoint(device, module, whole)).rejects.toThrow(/weight is I64/)
  const infinite = await stored({ weight: { dtype: 'F16', shape: [1, 1], data: Uint16Array.of(0x7c00) } })
  const load = loadCheckpoint(device, module, infinite, { dtype: 'f16' })
  await expect(load).rejects.toThrow(half ? /Element 0 is Infinity/ : /shader-f16/)
})

test('a damaged file leaves nothing on the device', async () => {
  const bytes = goldenBytes('lightning.pt')
  const checkpoint = await openCheckpoint(byteSource(bytes))
  const { data } = await checkpoint.read('0.bias')
  bytes[data.byteOffset]! ^= 1
  const before = device.memory.current
  const module = moduleOf(checkpoint, '0.')
  await expect(loadCheckpoint(device, module, checkpoint, { prefix: '0.' })).rejects.toThrow(/checksum/)
  expect(device.memory.current).toBe(before)
})

test('a prior from a file gives its memory back, also when it does not fit', async () => {
  const prior = tinyPrior(device)
  const file = await prior.toSafetensors()
  prior.dispose()
  const before = device.memory.current
  const again = await priorFromCheckpoint(device, await openCheckpoint(byteSource(file)))
  expect(device.memory.current).toBeGreaterThan(before)
  again.dispose()
  expect(device.memory.current).toBe(before)
  const text = Buffer.from(file)
    .toString('latin1')
    .replace('cond_stage_model.embedding.weight', 'cond_stage_model.embedding.height')
  const broken = await openCheckpoint(byteSource(Buffer.from(text, 'latin1')))
  await expect(priorFromCheckpoint(device, broken)).rejects.toThrow(
    /missing cond_stage_model\.embedding\.weight; unexpected cond_stage_model\.embedding\.height/,
  )
  expect(device.memory.current).toBe(before)
})
