import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Ld3mError } from '../../src/errors.ts'
import { loadParquet, openDataset } from '../../src/node/index.ts'
import { folderOf, parquet, plain, png } from '../support/image-files.ts'

const rowsOf = (image: (i: number) => Uint8Array) =>
  Array.from({ length: 12 }, (_, i) => ({ image: image(i), label: i % 2 }))
const bytesOf = (i: number) => Uint8Array.from({ length: 30 }, (_, j) => i * j)
const size = 4

test('a file that keeps its reader busy is refused in time, and others are read on', async () => {
  const damaged = parquet(rowsOf(bytesOf), { rowGroupSize: 5, pageSize: 100 })
  // The number of values in a page: without any, hyparquet waits for more for ever.
  damaged[13] = 0
  const image = await png(plain(255, 0, 0))
  const whole = parquet(rowsOf(() => image))
  const folder = await folderOf({ 'damaged.parquet': damaged, 'whole.parquet': whole })
  const dataset = await openDataset(join(folder, 'whole.parquet'), { size })
  const refused = loadParquet(join(folder, 'damaged.parquet'), { size, timeout: 1 })
  const read = 'read' in dataset ? dataset.read([0, 11]) : undefined
  await expect(refused).rejects.toMatchObject({
    code: 'data',
    // The other rows hold no images.
    message: expect.stringMatching(
      /^At least 8 images .*: Cannot read \S*damaged.parquet: decoding it took more than 1.00 s; .* in row 5 of /,
    ),
  })
  // Its file is opened again in a new thread.
  expect((await read)?.length).toBe(2 * 3 * size * size)
  expect((await loadParquet(join(folder, 'whole.parquet'), { size })).count).toBe(12)
  await expect(loadParquet(join(folder, 'whole.parquet'), { size, timeout: 0 })).rejects.toThrow(/timeout is 0/)
  await expect(openDataset(join(folder, 'whole.parquet'), { size, timeout: 0 })).rejects.toThrow(/timeout is 0/)
  const images = await folderOf({ 'a/x.png': new Uint8Array(1) })
  await expect(openDataset(images, { size, timeout: 1 })).rejects.toThrow(/timeout is of no use to folders of images/)
})

test('whatever bytes are changed, a file is read or refused with a reason', async () => {
  const images = await Promise.all([0, 1, 2].map((i) => png(plain(80 * i, 10, 20))))
  const rows = rowsOf((i) => images[i % 3]!)
  const wholes = [
    parquet(rows, { codec: 'UNCOMPRESSED' }),
    parquet(rows, { rowGroupSize: 5, pageSize: 100 }),
    parquet(rows, { codec: 'GZIP', classNames: ['dark', 'bright'] }),
  ]
  const path = join(await folderOf({}), 'x.parquet')
  const value = fc.oneof(fc.constantFrom(0, 127, 128, 255), fc.nat(255))
  const edits = fc.array(fc.tuple(fc.boolean(), fc.nat(), value), { minLength: 1, maxLength: 4 })
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...wholes), edits, async (whole, edits) => {
      const bytes = whole.slice()
      // Most of what can be damaged to an effect is in the footer.
      for (const [footer, at, value] of edits)
        bytes[footer ? bytes.length - 1 - (at % Math.min(700, bytes.length)) : at % bytes.length] = value
      await writeFile(path, bytes)
      try {
        expect((await loadParquet(path, { size, timeout: 2 })).count).toBeGreaterThan(0)
      } catch (error) {
        expect(error).toBeInstanceOf(Ld3mError)
        expect(error).toMatchObject({ code: expect.stringMatching(/^(data|option|shape)$/) })
      }
    }),
    { numRuns: 150 },
  )
})
