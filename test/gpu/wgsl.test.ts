import { readdirSync, readFileSync } from 'node:fs'
import { beforeAll, describe, expect, test } from 'vitest'
import { type Device, Kernel, kernels } from '../../src/gpu/index.ts'
import '../../src/kernels/index.ts'
import { testDevice } from '../support/device.ts'

const folder = new URL('../../wgsl/', import.meta.url)
const names = readdirSync(folder, { withFileTypes: true })
  .filter((entry) => entry.isFile() && entry.name.endsWith('.wgsl'))
  .map((entry) => entry.name.slice(0, -'.wgsl'.length))

let device: Device
beforeAll(async () => {
  device = await testDevice()
})

const textOf = (name: string) => readFileSync(new URL(`${name}.wgsl`, folder), 'utf8')

describe.each(names)('wgsl/%s.wgsl', (name) => {
  const text = textOf(name)

  test('compiles with its defaults, with params as immediates and as a uniform', async () => {
    const variant = new Kernel(name, text).variant()
    const needed = [...variant.code(false).matchAll(/^enable\s+(\w+)/gm)].map((m) => m[1]!)
    const missing = needed.filter((feature) => !device.info.features.has(feature))
    for (const immediates of device.info.immediates ? [false, true] : [false]) {
      device.handle.pushErrorScope('validation')
      const module = device.handle.createShaderModule({ code: variant.code(immediates) })
      const { messages } = await module.getCompilationInfo()
      const error = await device.handle.popErrorScope()
      // An adapter without a feature must say so; everything else in the file is checked where it exists.
      if (missing.length > 0) expect(error?.message).toMatch(/not allowed|not supported|extension/)
      else expect([...messages].map((m) => `${m.type} ${m.lineNum}: ${m.message}`)).toEqual([])
    }
  })

  test('has a kernel, and says at its head what it computes', () => {
    expect(kernels.has(name)).toBe(true)
    expect(text).toMatch(/^\/\/ \S/)
  })
})

describe('directives', () => {
  const kernel = new Kernel(
    'example',
    [
      '#include linear',
      '#include linear',
      'struct P { n: u32, s: f32, // a comment with k: vec3u',
      '  i: i32 }',
      '#params P',
      '@group(0) @binding(1) var<storage, read_write> out: array<Element>;',
      '@group(0) @binding(0) var<storage, read> x: array<Element>;',
      '#const TILE: u32 = 16 // elements',
      '#const SCALE: f32 = 1.5',
      '#const FUSED: bool = false',
      '#alias Element = f32',
      `fn double_\${Element}(x: Element) -> Element { return x + x; }`,
    ].join('\n'),
  )

  test('tell the host what to bind and pass', () => {
    expect(kernel.variant().interface.bindings).toEqual(['read', 'read_write'])
    expect(kernel.variant().interface.params).toEqual([
      { name: 'n', type: 'u32' },
      { name: 's', type: 'f32' },
      { name: 'i', type: 'i32' },
    ])
  })

  test('are filled in with a variant’s constants, or their defaults', () => {
    const defaults = kernel.variant().code(true)
    expect(defaults).toContain('const TILE: u32 = 16;')
    expect(defaults).toContain('alias Element = f32;')
    expect(defaults).toContain('fn double_f32(')
    expect(defaults).toContain('var<immediate> params: P;')
    expect(defaults.match(/fn linear_index/g)).toHaveLength(1)
    const code = kernel.variant({ TILE: 8, SCALE: 2, FUSED: true, Element: 'f16' }).code(false)
    expect(code).toContain('const TILE: u32 = 8u;')
    expect(code).toContain('const SCALE: f32 = 2.0;')
    expect(code).toContain('const FUSED: bool = true;')
    expect(code).toContain('alias Element = f16;')
    expect(code).toContain('fn double_f16(')
    expect(code).toContain('@group(1) @binding(0) var<uniform> params: P;')
  })

  test('intern variants: the same constants are the same object', () => {
    expect(kernel.variant({ TILE: 8 })).toBe(kernel.variant({ TILE: 8 }))
    expect(kernel.variant({ TILE: 8 })).not.toBe(kernel.variant({ TILE: 4 }))
    expect(kernel.variant({ TILE: 8 }).label).toBe('example[TILE=8]')
  })

  test('repeat lines, with a constant for the bound, nested', () => {
    const lines = [
      '#const N: u32 = 2',
      '#for i in N',
      '#for j in 2',
      `let x\${i}_\${j} = \${i};`,
      '#end',
      '#end',
      '// end',
    ]
    const text = new Kernel('repeated', lines.join('\n'))
    expect(
      text
        .variant()
        .code(false)
        .match(/let .*/g),
    ).toEqual(['let x0_0 = 0;', 'let x0_1 = 0;', 'let x1_0 = 1;', 'let x1_1 = 1;'])
    expect(
      text
        .variant({ N: 1 })
        .code(false)
        .match(/let .*/g),
    ).toEqual(['let x0_0 = 0;', 'let x0_1 = 0;'])
    expect(() => new Kernel('bad', '#for i in 2\nlet x = 1;').variant().code(true)).toThrow(/'#for i in 2' has no #end/)
    expect(() => new Kernel('bad', '#for i in M\n#end').variant().code(true)).toThrow(/cannot repeat/)
    const computed = '#const M: u32 = 16 / 4\n#for i in M\n#end'
    expect(() => new Kernel('bad', computed).variant().code(true)).toThrow(/cannot repeat/)
  })

  test('keep lines by a bool constant, with an alternative, nested', () => {
    const lines = [
      '#const A: bool = true',
      '#if A',
      'let a = 1;',
      '#for i in 2',
      '#if A',
      `let b = \${i};`,
      '#end',
      '#end',
    ]
    const text = new Kernel('alternatives', [...lines, '#else', 'let c = 1;', '#end', '// end'].join('\n'))
    const code = (A: boolean) =>
      text
        .variant({ A })
        .code(false)
        .match(/let .*/g)
    expect(code(true)).toEqual(['let a = 1;', 'let b = 0;', 'let b = 1;'])
    expect(code(false)).toEqual(['let c = 1;'])
    expect(() => new Kernel('bad', '#const N: u32 = 1\n#if N\n#end').variant().code(true)).toThrow(/no bool #const/)
    expect(() => new Kernel('bad', '#const A: bool = true\n#if A').variant().code(true)).toThrow(/has no #end/)
  })

  test('stand names and numbers in for others, also in repeated lines, and tell bindings by them', () => {
    const lines = [
      '#const N: u32 = 2',
      '#name RESULT = v1',
      '#for k in N',
      `#name F\${k} = sin`,
      `@group(0) @binding(\${k}) var<storage, read> x\${k}: array<f32>;`,
      `let v\${k} = \${F\${k}}(x\${k}[0]);`,
      '#end',
      `@group(0) @binding(\${N}) var<storage, read_write> out: array<f32>;`,
      `out[0] = \${RESULT};`,
    ]
    const text = new Kernel('named', lines.join('\n'))
    const variant = text.variant({ N: 3, RESULT: 'v2', F1: 'cos' }, 'sin·cos·sin')
    expect(variant.code(false).match(/let .*|out\[.*/g)).toEqual([
      'let v0 = sin(x0[0]);',
      'let v1 = cos(x1[0]);',
      'let v2 = sin(x2[0]);',
      'out[0] = v2;',
    ])
    expect(variant.interface.bindings).toEqual(['read', 'read', 'read', 'read_write'])
    expect(text.variant().interface.bindings).toEqual(['read', 'read', 'read_write'])
    expect(variant.label).toBe('named[sin·cos·sin]')
    expect(() => text.variant({ F3: 'cos' }).code(true)).toThrow(/no constant F3/)
    expect(() => new Kernel('bad', `let x = \${Y};`).variant().code(true)).toThrow(/names no #const, #alias or #name/)
  })

  test('reject what they do not know', () => {
    expect(() => kernel.variant({ TILES: 8 }).code(true)).toThrow(/no constant TILES/)
    expect(() => new Kernel('bad', '#loop 3').variant().code(true)).toThrow(/unknown directive/)
    expect(() => new Kernel('bad', '#include nothing').variant().code(true)).toThrow(
      /there is no include 'nothing'. Known: activation,/,
    )
    expect(() => new Kernel('bad', 'struct P { v: vec4f }\n#params P').variant().interface).toThrow(
      /params are u32, i32 or f32/,
    )
    expect(() => new Kernel('bad', '#params P').variant().interface).toThrow(/Kernel bad: #params P names no struct/)
    const second = '@group(0) @binding(1) var<storage, read> x: array<f32>;'
    expect(() => new Kernel('bad', second).variant().interface).toThrow(/there is no @binding\(0\)/)
    expect(() => new Kernel('bad', '#loop 3').variant().code(true)).toThrow(
      expect.objectContaining({ name: 'Ld3mError', code: 'option' }),
    )
    const many = Array.from({ length: 17 }, (_, i) => `p${i}: u32`).join(', ')
    expect(() => new Kernel('bad', `struct P { ${many} }\n#params P`).variant().interface).toThrow(/64 bytes hold 16/)
  })
})
