import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { ldmFfhq, ldmImageNet, priorParameters } from '../../src/ld3m/index.ts'

test('the ImageNet prior has the 894 tensors of the checkpoint, by name and shape', () => {
  const expected = readFileSync(new URL('../golden/cin256-v2-keys.tsv', import.meta.url), 'utf8')
    .trim()
    .split('\n')
  const own = Object.entries(priorParameters(ldmImageNet())).map(([name, { shape }]) => `${name}\t${shape.join('x')}`)
  expect(own).toHaveLength(894)
  expect(own.sort()).toEqual(expected.sort())
})

test('the faces prior is unconditional and has the same first stage', () => {
  const own = Object.keys(priorParameters(ldmFfhq()))
  expect(own.some((name) => name.startsWith('cond_stage_model'))).toBe(false)
  expect(own).toContain('model.diffusion_model.middle_block.1.qkv.weight')
  expect(own).toContain('first_stage_model.quantize.embedding.weight')
})

test('images may be smaller than those of the training', () => {
  expect(ldmImageNet({ size: 128 }).image).toEqual({ channels: 3, height: 128, width: 128 })
  expect(() => ldmImageNet({ size: 100 })).toThrow(/size is 100. Use a multiple of 32/)
  expect(() => ldmFfhq({ sise: 128 } as object)).toThrow(/unknown option 'sise'/)
})
