// `npm run ops-table`: writes docs/ops.md from the registry.
import { writeFile } from 'node:fs/promises'
import { opTable } from './op-table.ts'

await writeFile(new URL('../docs/ops.md', import.meta.url), opTable())
