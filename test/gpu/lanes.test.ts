import { beforeAll, describe, expect, test } from 'vitest'
import { random, scope, tensor } from '../../src/autograd/index.ts'
import { type Device, kernels, linearGrid } from '../../src/gpu/index.ts'
import '../../src/kernels/index.ts'
import { expectClose } from '../support/checks.ts'
import { testDevice } from '../support/device.ts'

// The launch functions choose how many lanes share a row by the adapter: here each choice runs on this one.

let device: Device
beforeAll(async () => {
  device = await testDevice()
})

const sizes = [
  [1, 1],
  [5, 3],
  [9, 8],
  [130, 20],
  [3, 64],
  [17, 203],
] as const

/** The params of an argmax along the columns. */
const ofRows = (rows: number, columns: number) => {
  return { outputs: rows, length: columns, reduced: columns, inner: 1, parts: 1, part: columns }
}

/** What a kernel with `lanes` invocations a row gives for inputs of [rows, columns]. */
async function run(
  name: string,
  constants: Record<string, string>,
  lanes: number,
  [rows, columns]: readonly [number, number],
  outputs: number,
): Promise<ArrayBuffer> {
  const out = device.alloc(outputs * 4)
  scope(() => {
    const key = { seed: rows, stream: columns }
    const a = random.normal(device, [rows, columns], key, { std: 2 })
    const b = random.uniform(device, [rows, columns], { ...key, seed: 99 })
    const labels = tensor(
      device,
      Int32Array.from({ length: rows }, (_, i) => (i * 7) % columns),
    )
    const g = tensor(device, [1.5])
    const inputs = { softmax: [a, b], cross_entropy: [a, labels, g], argmax: [a] }[name]!
    const buffers = [...inputs.map((t) => t.buffer), out]
    const params = { rows, columns, scale: 1 / rows, invalid: Number.NaN, ...ofRows(rows, columns) }
    const variant = kernels.get(name)!.variant({ ...constants, LANES: lanes })
    device.dispatch(variant, buffers, params, linearGrid(rows * lanes, 64))
  })
  const data = await device.read(out, outputs * 4)
  device.release(out)
  return data
}

describe.each([8, 64])('%i lanes a row', (lanes) => {
  test.each(['SOFTMAX', 'LOG_SOFTMAX', 'SOFTMAX_GRAD', 'LOG_SOFTMAX_GRAD'])(
    'give the %s that one lane gives',
    async (OP) => {
      for (const size of sizes) {
        const outputs = size[0] * size[1]
        const expected = new Float32Array(await run('softmax', { OP }, 1, size, outputs))
        const actual = new Float32Array(await run('softmax', { OP }, lanes, size, outputs))
        expectClose(actual, expected, 1e-5, `${OP} of ${size}`)
      }
    },
  )

  test.each(['LOSS', 'GRAD'])('give the cross entropy’s %s that one lane gives', async (OP) => {
    for (const size of sizes) {
      const outputs = OP === 'LOSS' ? size[0] : size[0] * size[1]
      const expected = new Float32Array(await run('cross_entropy', { OP }, 1, size, outputs))
      const actual = new Float32Array(await run('cross_entropy', { OP }, lanes, size, outputs))
      expectClose(actual, expected, 1e-5, `${OP} of ${size}`)
    }
  })

  const shared = { Team: 'team_workgroup' }

  test('give the argmax that one lane gives', async () => {
    for (const size of sizes) {
      const expected = new Int32Array(await run('argmax', {}, 1, size, size[0]))
      expect(new Int32Array(await run('argmax', shared, lanes, size, size[0])), `${size}`).toEqual(expected)
    }
  })

  test('give the first of equal elements', async () => {
    const row = new Float32Array(200).fill(-1)
    for (const i of [67, 130, 199]) row[i] = 5
    for (const [data, first] of [
      [row, 67],
      [new Float32Array(200).fill(-1), 0],
    ] as const) {
      const x = tensor(device, data)
      const out = device.alloc(4)
      const variant = kernels.get('argmax')!.variant({ ...shared, LANES: lanes })
      device.dispatch(variant, [x.buffer, out], ofRows(1, 200), linearGrid(lanes, 64))
      expect([...new Int32Array(await device.read(out, 4))]).toEqual([first])
      device.release(out)
      x.dispose()
    }
  })
})
