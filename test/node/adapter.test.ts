import { spawn } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { describeAdapter } from '../../src/node/index.ts'

// Which drivers a process uses is decided once for it, so every case runs in a process of its own.
const PROGRAM = `
import { requestAdapter } from './src/node/index.ts'
const options = JSON.parse(process.argv[1])
const before = JSON.stringify(process.env)
try {
  const { adapter, kind, description } = await requestAdapter(options)
  const device = await adapter.requestDevice()
  const untouched = before === JSON.stringify(process.env)
  console.log('RESULT ' + JSON.stringify({ kind, description, untouched }))
  device.destroy()
} catch (error) {
  console.log('RESULT ' + JSON.stringify({ code: error.code, message: error.message }))
}
`

type Result = { kind?: string; description?: string; untouched?: boolean; code?: string; message?: string }
type Env = Record<string, string | undefined>

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ld3m-gpu-adapter-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** The environment of a machine without Vulkan drivers. */
const BARE: Env = { VK_DRIVER_FILES: '/nonexistent', VK_ICD_FILENAMES: '/nonexistent' }

function request(options: { adapter?: string }, env: Env = {}): Promise<Result> {
  const unset = { LD3M_ADAPTER: undefined, VK_DRIVER_FILES: undefined, VK_ICD_FILENAMES: undefined }
  const args = ['--import', './scripts/register.mjs', '--input-type=module', '--eval', PROGRAM, JSON.stringify(options)]
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { env: { ...process.env, ...unset, ...env } })
    let output = ''
    child.stdout.on('data', (chunk) => (output += chunk))
    child.stderr.on('data', (chunk) => (output += chunk))
    child.on('close', () => {
      const line = output.split('\n').find((text) => text.startsWith('RESULT '))
      if (line === undefined) reject(new Error(`The child gave no result:\n${output}`))
      else resolve(JSON.parse(line.slice('RESULT '.length)) as Result)
    })
  })
}

const info = (fields: Partial<GPUAdapterInfo>): GPUAdapterInfo =>
  ({ vendor: '', architecture: '', device: '', description: '', isFallbackAdapter: false, ...fields }) as GPUAdapterInfo

describe('requestAdapter', () => {
  test('finds an adapter by itself and leaves the environment as it was', async () => {
    const result = await request({})
    expect(result).toMatchObject({ untouched: true })
    expect(['hardware', 'lavapipe', 'swiftshader']).toContain(result.kind)
  }, 60_000)

  test('uses SwiftShader, with its own loader, where there is no driver', async () => {
    const result = await request({}, BARE)
    expect(result).toMatchObject({ kind: 'swiftshader', untouched: true })
    expect(result.description).toMatch(/^SwiftShader \(.+\), software$/)
  }, 60_000)

  test('uses SwiftShader when asked, whatever else there is', async () => {
    expect(await request({ adapter: 'swiftshader' })).toMatchObject({ kind: 'swiftshader' })
  }, 60_000)

  test('takes its default from LD3M_ADAPTER', async () => {
    expect(await request({}, { LD3M_ADAPTER: 'swiftshader' })).toMatchObject({ kind: 'swiftshader' })
  }, 60_000)

  test('prefers the option to LD3M_ADAPTER', async () => {
    const env = { LD3M_ADAPTER: 'hardware', ...BARE }
    expect(await request({ adapter: 'swiftshader' }, env)).toMatchObject({ kind: 'swiftshader' })
  }, 60_000)

  test('gives lavapipe 25 or newer, or says why not', async () => {
    const result = await request({ adapter: 'lavapipe' })
    if (result.kind === undefined) expect(result).toMatchObject({ code: 'adapter' })
    else expect(result.description).toMatch(/^lavapipe \(llvmpipe, Mesa (2[5-9]|[3-9]\d)[\d.]*\), software$/)
  }, 60_000)

  test('does not take a software adapter for hardware', async () => {
    const result = await request({ adapter: 'hardware' }, BARE)
    expect(result.code).toBe('adapter')
    expect(result.message).toContain('hardware: the drivers that VK_DRIVER_FILES names (/nonexistent) gave no adapter')
    expect(result.message).toMatch(/\nInstall a GPU driver .* or leave the choice out/)
  }, 60_000)

  test.each([
    ['the option', { adapter: 'nvidia' }, {}],
    ['LD3M_ADAPTER', {}, { LD3M_ADAPTER: 'nvidia' }],
  ])(
    'refuses an unknown name in %s and lists the known ones',
    async (where, options, env) => {
      const result = await request(options, env)
      expect(result.code).toBe('option')
      expect(result.message).toContain(`'nvidia'`)
      expect(result.message).toContain('auto, hardware, lavapipe, swiftshader')
      expect(result.message?.includes('LD3M_ADAPTER')).toBe(where === 'LD3M_ADAPTER')
    },
    60_000,
  )

  test('says what it tried and how to get an adapter when there is none', async () => {
    // A cache folder that cannot be made stands for a machine on which SwiftShader cannot be had either.
    const result = await request({}, { ...BARE, XDG_CACHE_HOME: '/dev/null' })
    expect(result.code).toBe('adapter')
    expect(result.message).toMatch(/hardware: .*\n.*lavapipe: .*\n.*swiftshader: .*could not be unpacked/)
    expect(result.message).toContain('mesa-vulkan-drivers')
    expect(result.message).toContain('XDG_CACHE_HOME')
  }, 60_000)

  test('lets four processes unpack SwiftShader at once and leaves one complete copy', async () => {
    const env = { XDG_CACHE_HOME: join(folder, 'race') }
    const results = await Promise.all([1, 2, 3, 4].map(() => request({ adapter: 'swiftshader' }, env)))
    for (const result of results) expect(result).toMatchObject({ kind: 'swiftshader' })
    const copies = await readdir(join(folder, 'race', 'ld3m-gpu'))
    expect(copies).toEqual([expect.stringMatching(/^swiftshader-\d/)])
    const files = await readdir(join(folder, 'race', 'ld3m-gpu', copies[0]!))
    expect(files.sort()).toEqual(['libvk_swiftshader.so', 'libvulkan.so.1', 'vk_swiftshader_icd.json'])
  }, 60_000)

  test('uses the drivers that the environment prescribes', async () => {
    await request({ adapter: 'swiftshader' }, { XDG_CACHE_HOME: folder })
    const [copy] = await readdir(join(folder, 'ld3m-gpu'))
    const driver = join(folder, 'ld3m-gpu', copy!, 'vk_swiftshader_icd.json')
    const env = { VK_DRIVER_FILES: ['/nonexistent', driver].join(delimiter) }
    const result = await request({ adapter: 'lavapipe' }, env)
    // Where the system has no Vulkan loader, nothing reads the variable.
    expect(result.message).toMatch(/lavapipe: (the adapter found is SwiftShader|the drivers that VK_DRIVER_FILES)/)
  }, 60_000)
})

describe('describeAdapter', () => {
  test.each([
    [
      'lavapipe (llvmpipe, Mesa 25.0.7), software',
      info({
        vendor: 'mesa',
        architecture: 'software',
        device: 'llvmpipe-llvm-15-0-6-256-bits-',
        description: 'llvmpipe: Mesa 25.0.7-2~bpo12+1 (LLVM 15.0.6) 0.0.1',
        isFallbackAdapter: true,
      }),
    ],
    [
      'SwiftShader (driver 5.0.0), software',
      info({ architecture: 'swiftshader', description: 'SwiftShader driver 5.0.0', isFallbackAdapter: true }),
    ],
    ['apple metal-3, hardware', info({ vendor: 'apple', architecture: 'metal-3' })],
    ['basic-render (WARP), software', info({ device: 'basic-render', description: 'WARP', isFallbackAdapter: true })],
  ])('gives "%s"', (line, adapterInfo) => {
    expect(describeAdapter(adapterInfo)).toBe(line)
  })
})
