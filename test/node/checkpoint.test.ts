import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { writeSafetensors } from '../../src/io/index.ts'
import { fileSource, openCheckpointFile, readTensors, writeCheckpoint } from '../../src/node/index.ts'

const golden = (name: string) => fileURLToPath(new URL(`../golden/checkpoints/${name}`, import.meta.url))

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ld3m-checkpoint-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

test('a checkpoint is converted to safetensors, in order, to the bit', async () => {
  for (const name of ['dtypes.pt', 'views-legacy.pt']) {
    const checkpoint = await openCheckpointFile(golden(name))
    const path = join(folder, `${name}.safetensors`)
    await writeCheckpoint(path, checkpoint, { format: 'pt' })
    const { tensors, metadata } = await readTensors(path)
    expect(metadata).toEqual({ format: 'pt' })
    expect([...tensors.keys()].sort()).toEqual([...checkpoint.tensors.keys()].sort())
    for (const [key, tensor] of tensors) expect(tensor).toEqual(await checkpoint.read(key))
    expect(writeSafetensors(tensors, metadata)).toEqual(new Uint8Array(await readFile(path)))
    await checkpoint.close()
  }
})

test('a checkpoint that turns out to be damaged leaves no file', async () => {
  const path = join(folder, 'damaged.pt')
  const bytes = await readFile(golden('lightning.pt'))
  const whole = await openCheckpointFile(golden('lightning.pt'))
  const { data } = await whole.read('0.bias')
  await whole.close()
  bytes[bytes.indexOf(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))]! ^= 1
  await writeFile(path, bytes)
  const checkpoint = await openCheckpointFile(path)
  await expect(writeCheckpoint(join(folder, 'out.safetensors'), checkpoint)).rejects.toThrow(
    /damaged\.pt: the checksum of lightning\/data\/\d+ does not fit/,
  )
  await checkpoint.close()
  expect((await readdir(folder)).filter((name) => name.includes('out'))).toEqual([])
})

test('the shards of an index are found beside it', async () => {
  const tensor = { dtype: 'F32', shape: [1], data: Float32Array.of(4) } as const
  await writeFile(join(folder, 'part-1.safetensors'), writeSafetensors(new Map([['a', tensor]])))
  const index = join(folder, 'model.safetensors.index.json')
  await writeFile(index, JSON.stringify({ metadata: {}, weight_map: { a: 'part-1.safetensors' } }))
  const checkpoint = await openCheckpointFile(index)
  expect(await checkpoint.read('a')).toEqual(tensor)
  await checkpoint.close()
  await expect(checkpoint.read('a')).rejects.toThrow(/Cannot read .*part-1\.safetensors/)
  await writeFile(index, JSON.stringify({ weight_map: { a: 'part-2.safetensors' } }))
  await expect(openCheckpointFile(index)).rejects.toThrow(/Cannot read .*part-2\.safetensors: ENOENT/)
})

test('a file that is missing, a folder or cut meanwhile is an error that names it', async () => {
  await expect(openCheckpointFile(join(folder, 'none.ckpt'))).rejects.toThrow(/none\.ckpt: ENOENT/)
  await expect(openCheckpointFile(folder)).rejects.toThrow(/Cannot read .*EISDIR/)
  const path = join(folder, 'cut.bin')
  await writeFile(path, new Uint8Array(10))
  const source = await fileSource(path)
  await writeFile(path, new Uint8Array(4))
  await expect(source.read(0, 10)).rejects.toThrow(/cut\.bin: it ended after 4 of 10 bytes/)
  await source.close()
})
