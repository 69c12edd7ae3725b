/** `npm run bench:torch`: this library beside PyTorch, on the CPU or with CUDA; see options.ts. */
import process from 'node:process'
import { main } from './report.ts'
import { openTorch } from './torch.ts'

await main({ script: 'bench:torch', open: async (_, options) => [await openTorch(options)] }, process.argv.slice(2))
