import { defineConfig } from 'tsup'

export default defineConfig({
  entry: {
    index: 'src/index.ts',
    autograd: 'src/autograd.ts',
    models: 'src/models.ts',
    kernels: 'src/kernels.ts',
    node: 'src/node.ts',
    'cli/main': 'src/cli/main.ts',
    // A thread's program, which is looked for beside the code that starts it.
    'parquet-worker': 'src/node/parquet-worker.ts',
  },
  format: 'esm',
  target: 'es2022',
  platform: 'neutral',
  external: [/^node:/, 'webgpu', 'sharp', '@sparticuz/chromium'],
  loader: { '.wgsl': 'text' },
  dts: { compilerOptions: { ignoreDeprecations: '6.0' } },
  splitting: true,
  clean: true,
})
