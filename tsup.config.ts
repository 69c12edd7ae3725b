import { defineConfig } from 'tsup'

export default defineConfig({
  entry: ['src/index.ts', 'src/autograd.ts', 'src/models.ts', 'src/kernels.ts', 'src/node.ts', 'src/cli/main.ts'],
  format: 'esm',
  target: 'es2022',
  platform: 'neutral',
  external: [/^node:/, 'webgpu', 'sharp', '@sparticuz/chromium'],
  loader: { '.wgsl': 'text' },
  dts: { compilerOptions: { ignoreDeprecations: '6.0' } },
  splitting: true,
  clean: true,
})
