import { beforeAll, describe, expect, test } from 'vitest'
import { grad, ops, scope, type Tensor, tensor } from '../../src/autograd/index.ts'
import type { Device } from '../../src/gpu/index.ts'
import { testDevice } from '../support/device.ts'

let device: Device
beforeAll(async () => {
  device = await testDevice()
})

const range = (shape: number[]) => {
  const count = shape.reduce((n, d) => n * d, 1)
  return tensor(
    device,
    Float32Array.from({ length: count }, (_, i) => i),
    { shape, requiresGrad: true },
  )
}
const shapeError = expect.objectContaining({ name: 'Ld3mError', code: 'shape' })

/** Shapes and elements of the tensors that a scope returns. */
async function results(body: () => Tensor[]): Promise<[readonly number[], number[]][]> {
  const tensors = scope(body)
  const out: [readonly number[], number[]][] = []
  for (const t of tensors) {
    out.push([t.shape, [...(await t.read())]])
    t.dispose()
  }
  return out
}

describe('layout ops', () => {
  test('transpose exchanges two dimensions, by default the last two', async () => {
    expect(
      await results(() => {
        const x = range([2, 2, 3])
        return [ops.transpose(x), ops.transpose(x, 0, -1)]
      }),
    ).toEqual([
      [
        [2, 3, 2],
        [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11],
      ],
      [
        [3, 2, 2],
        [0, 6, 3, 9, 1, 7, 4, 10, 2, 8, 5, 11],
      ],
    ])
  })

  test('a permutation that moves no element shares the memory, and has a gradient', async () => {
    expect(
      await results(() => {
        const x = range([2, 1, 3])
        const y = ops.permute(x, [1, 0, 2])
        expect(y.buffer).toBe(x.buffer)
        return [y, ...grad(ops.sum(ops.square(y)), [x])]
      }),
    ).toEqual([
      [
        [1, 2, 3],
        [0, 1, 2, 3, 4, 5],
      ],
      [
        [2, 1, 3],
        [0, 2, 4, 6, 8, 10],
      ],
    ])
  })

  test('whole slices and empty padding share the memory', () => {
    scope(() => {
      const x = range([2, 3])
      expect(ops.slice(x, 1, 0, 3).buffer).toBe(x.buffer)
      expect(
        ops.pad(x, [
          [0, 0],
          [0, 0],
        ]).buffer,
      ).toBe(x.buffer)
      expect(ops.concat([x], 0).buffer).toBe(x.buffer)
    })
  })

  test('stack puts tensors along a new dimension', async () => {
    expect(
      await results(() => {
        const rows = [range([2]), ops.add(range([2]), 10)]
        return [ops.stack(rows), ops.stack(rows, 1), ops.stack(rows, -1)]
      }),
    ).toEqual([
      [
        [2, 2],
        [0, 1, 10, 11],
      ],
      [
        [2, 2],
        [0, 10, 1, 11],
      ],
      [
        [2, 2],
        [0, 10, 1, 11],
      ],
    ])
  })

  test('split and chunk undo concat, with gradients', async () => {
    expect(
      await results(() => {
        const x = range([2, 4])
        const [a, b] = ops.split(x, [1, 3], 1) as [Tensor, Tensor]
        const [c, d] = ops.chunk(x, 2, -1) as [Tensor, Tensor]
        const loss = ops.sum(ops.mul(ops.mul(c, d), 1))
        return [a, b, ops.concat([a, b], 1), ...grad(loss, [x])]
      }),
    ).toEqual([
      [
        [2, 1],
        [0, 4],
      ],
      [
        [2, 3],
        [1, 2, 3, 5, 6, 7],
      ],
      [
        [2, 4],
        [0, 1, 2, 3, 4, 5, 6, 7],
      ],
      [
        [2, 4],
        [2, 3, 0, 1, 6, 7, 4, 5],
      ],
    ])
  })

  test('integers are copied exactly, labels for example', async () => {
    expect(
      await results(() => {
        const labels = tensor(device, Int32Array.of(1, -2, 16_777_217, 4))
        const part = ops.slice(labels, 0, 1, 3)
        expect(part.dtype).toBe('i32')
        return [
          part,
          ops.flip(labels, 0),
          ops.pad(labels, [[1, -2]], -7),
          ops.concat([part, labels], 0),
          ops.permute(ops.reshape(labels, [2, 2]), [1, 0]),
        ].map((t) => ops.sum(ops.oneHot(t, 5), -1)) // in range: 1
      }).then((all) => all.map(([, data]) => data)),
    ).toEqual([
      [0, 0],
      [1, 0, 0, 1],
      [0, 1, 0],
      [0, 0, 1, 0, 0, 1],
      [1, 0, 0, 1],
    ])
  })

  test('reject arguments that do not fit, before anything is launched', () => {
    scope(() => {
      const x = range([2, 3])
      const labels = tensor(device, Int32Array.of(1, 2))
      for (const wrong of [
        () => ops.permute(x, [0, 0]),
        () => ops.permute(x, [0]),
        () => ops.permute(x, [0, 2]),
        () => ops.slice(x, 2, 0, 1),
        () => ops.slice(x, 1, 2, 1),
        () => ops.slice(x, 1, 0, 4),
        () => ops.slice(x, 1, 0.5, 1),
        () => ops.pad(x, [[0, 1]]),
        () =>
          ops.pad(x, [
            [0, 0],
            [-4, 0],
          ]),
        () => ops.pad(labels, [[1, 0]], 0.5),
        () => ops.flip(x, 2),
        () => ops.concat([], 0),
        () => ops.concat([x, range([2, 3, 1])], 0),
        () => ops.concat([x, range([3, 2])], 0),
        () => ops.concat([range([2]), labels], 0),
        () => ops.stack([x, range([3, 2])]),
        () => ops.stack([]),
        () => ops.split(x, [1, 1], 1),
        () => ops.chunk(x, 2, 1),
      ]) {
        expect(wrong, String(wrong)).toThrow(shapeError)
      }
    })
  })

  test('are right for arrays that every invocation has many elements of', async () => {
    const [outer, rows, columns] = [7, 130, 67]
    const at = (o: number, r: number, c: number) => (o * rows + r) * columns + c
    const all = await results(() => {
      const x = range([outer, rows, columns])
      return [
        ops.permute(x, [2, 0, 1]),
        ops.flip(x, 1),
        ops.pad(
          x,
          [
            [0, 0],
            [1, 0],
            [0, -3],
          ],
          -1,
        ),
        ops.concat([x, ops.slice(x, 1, 5, 9)], 1),
      ]
    })
    const expected = [
      Array.from({ length: columns }, (_, c) =>
        Array.from({ length: outer }, (_, o) => Array.from({ length: rows }, (_, r) => at(o, r, c))),
      ),
      Array.from({ length: outer }, (_, o) =>
        Array.from({ length: rows }, (_, r) => Array.from({ length: columns }, (_, c) => at(o, rows - 1 - r, c))),
      ),
      Array.from({ length: outer }, (_, o) =>
        Array.from({ length: rows + 1 }, (_, r) =>
          Array.from({ length: columns - 3 }, (_, c) => (r === 0 ? -1 : at(o, r - 1, c))),
        ),
      ),
      Array.from({ length: outer }, (_, o) =>
        Array.from({ length: rows + 4 }, (_, r) =>
          Array.from({ length: columns }, (_, c) => at(o, r < rows ? r : r - rows + 5, c)),
        ),
      ),
    ]
    all.forEach(([, data], i) => {
      expect(data).toEqual(expected[i]!.flat(2))
    })
  })

  test('more than six separate dimensions are refused in words', () => {
    scope(() => {
      const x = range([2, 2, 2, 2, 2, 2, 2])
      expect(() => ops.permute(x, [6, 5, 4, 3, 2, 1, 0])).toThrow(/needs 7 separate dimensions; 6 are supported/)
    })
  })
})

describe('max', () => {
  test('gives its gradient to the first of equal elements', async () => {
    expect(
      await results(() => {
        const x = tensor(device, [1, 3, 3, -2, -5, -2], { shape: [2, 3], requiresGrad: true })
        const y = ops.max(x, 1)
        return [y, ...grad(ops.sum(y), [x]), ops.max(x, 0, { keepDims: true })]
      }),
    ).toEqual([
      [[2], [3, -2]],
      [
        [2, 3],
        [0, 1, 0, 1, 0, 0],
      ],
      [
        [1, 3],
        [1, 3, 3],
      ],
    ])
  })

  test('finds ties in long rows shared by many lanes', async () => {
    const row = new Float32Array(200).fill(-1)
    row[130] = 5
    row[67] = 5
    row[199] = 5
    const [index] = await results(() => [ops.argmax(tensor(device, row), 0)])
    expect(index).toEqual([[], [67]])
    const equal = new Float32Array(200).fill(-1)
    const [first] = await results(() => [ops.argmax(tensor(device, equal), 0)])
    expect(first).toEqual([[], [0]])
  })

  test('its second gradient is zero where the function is linear, and right where it is not', async () => {
    expect(
      await results(() => {
        const x = tensor(device, [1, 4, 2], { requiresGrad: true })
        const y = ops.max(x, 0)
        const [g] = grad(ops.mul(y, ops.square(y)), [x], { createGraph: true }) as [Tensor]
        return grad(ops.sum(g), [x])
      }),
    ).toEqual([[[3], [0, 24, 0]]]) // m³: 6m
  })

  test('of nothing is an error', () => {
    scope(() => {
      expect(() => ops.max(tensor(device, [], { shape: [0, 2] }), 0)).toThrow(shapeError)
      expect(() => ops.argmax(range([2]), 1)).toThrow(shapeError)
    })
  })
})

describe('indices out of range', () => {
  test('give rows of NaN from gather, and no gradient', async () => {
    expect(
      await results(() => {
        const table = range([3, 2])
        const indices = tensor(device, Int32Array.of(2, 3, -1, 0))
        const rows = ops.gather(table, indices)
        return [rows, ...grad(rows, [table], { gradOutput: ops.fill(device, [4, 2], 1) })]
      }),
    ).toEqual([
      [
        [4, 2],
        [4, 5, Number.NaN, Number.NaN, Number.NaN, Number.NaN, 0, 1],
      ],
      [
        [3, 2],
        [1, 1, 0, 0, 1, 1],
      ],
    ])
  })

  test('make the cross entropy NaN', async () => {
    const loss = (label: number) =>
      results(() => [ops.crossEntropy(range([2, 3]), tensor(device, Int32Array.of(0, label)))])
    expect((await loss(3))[0]?.[1]).toEqual([Number.NaN])
    expect((await loss(-100))[0]?.[1]).toEqual([Number.NaN])
    expect((await loss(2))[0]?.[1]?.[0]).toBeCloseTo(1.4076, 4)
  })
})

describe('indexing ops', () => {
  test.each([1, 3, 700])('scatterAdd is right for many rows of %i elements', async (inner) => {
    const [rows, count] = [1500, 40]
    const index = (n: number) => (n * n * 31) % rows
    const [result] = await results(() => {
      const indices = tensor(
        device,
        Int32Array.from({ length: count }, (_, n) => index(n)),
      )
      return [ops.scatterAdd(range([count, inner]), indices, rows)]
    })
    const expected = new Array<number>(rows * inner).fill(0)
    for (let n = 0; n < count; n++) {
      for (let d = 0; d < inner; d++) expected[index(n) * inner + d]! += n * inner + d
    }
    expect(result?.[1]).toEqual(expected)
  })

  test('reject arguments that do not fit', () => {
    scope(() => {
      const x = range([2, 3])
      const labels = tensor(device, Int32Array.of(1, 2))
      for (const wrong of [
        () => ops.gather(labels, labels),
        () => ops.gather(x, x),
        () => ops.gather(range([]), labels),
        () => ops.scatterAdd(range([3, 2]), labels, 4),
        () => ops.takeAlongAxis(x, labels, 0),
        () => ops.crossEntropy(x, tensor(device, Int32Array.of(1))),
        () => ops.crossEntropy(range([2]), labels),
        () => ops.crossEntropy(range([2, 0]), labels),
        () => ops.softmax(range([])),
      ]) {
        expect(wrong, String(wrong)).toThrow(shapeError)
      }
      expect(() => ops.oneHot(labels, 0)).toThrow(/classes is 0/)
      expect(() => ops.scatterAdd(x, labels, 1.5)).toThrow(/rows is 1.5/)
    })
  })
})

describe('softmax', () => {
  test('stays finite for logits whose exponentials overflow or vanish', async () => {
    const [y, log, loss] = (
      await results(() => {
        const x = tensor(device, [1000, 0, -1000], { shape: [1, 3] })
        return [ops.softmax(x), ops.logSoftmax(x), ops.crossEntropy(x, tensor(device, Int32Array.of(2)))]
      })
    ).map(([, data]) => data)
    expect(y).toEqual([1, 0, 0])
    expect(log).toEqual([0, -1000, -2000])
    expect(loss).toEqual([2000])
  })

  test('of an empty batch is empty', async () => {
    expect(await results(() => [ops.softmax(range([0, 3]))])).toEqual([[[0, 3], []]])
  })
})
