import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { opTable } from '../../scripts/op-table.ts'

test('docs/ops.md tells what the registry holds (npm run ops-table writes it)', async () => {
  expect(await readFile('docs/ops.md', 'utf8')).toBe(opTable())
})
