import * as kernels from '../../src/kernels/index.ts'
import { family, floats, row, rowsFor } from '../harness.ts'

/** [samples, channels, inner] in groups, with weight, bias and, where it says so, SiLU. */
interface Size extends kernels.NormSizes {
  readonly label: string
  readonly silu: boolean
}

const SIZES: { readonly full: readonly Size[]; readonly quick: readonly Size[] } = {
  full: [
    { label: 'group', samples: 64, channels: 64, inner: 256, groups: 32, silu: true },
    { label: 'group', samples: 8, channels: 512, inner: 64, groups: 32, silu: true },
    { label: 'instance', samples: 64, channels: 32, inner: 1024, groups: 32, silu: false },
    { label: 'layer', samples: 4096, channels: 64, inner: 1, groups: 1, silu: false },
  ],
  quick: [
    { label: 'group', samples: 2, channels: 4, inner: 6, groups: 2, silu: true },
    { label: 'layer', samples: 5, channels: 8, inner: 1, groups: 1, silu: false },
  ],
}

const norms = rowsFor<Size>(SIZES, ({ label, silu, ...sizes }) => {
  const { samples, channels, inner, groups } = sizes
  const count = samples * channels * inner
  const activation = silu ? 'silu' : 'none'
  const shape = `${label} ${samples}×${channels}×${inner}, ${groups} groups${silu ? ', SiLU' : ''}`
  const x = floats(count)
  const g = floats(count)
  const weight = floats(channels)
  const bias = floats(channels)
  const stats = floats(samples * groups * 2, 0.5, 1)
  return [
    row('norm', shape, { x, weight, bias }, (device, { x, weight, bias }) => ({
      ...kernels.norm(device, x, sizes, { weight, bias, activation }, 1e-5),
    })),
    row('normInputGrad', shape, { g, x, stats, weight, bias }, (device, { g, x, stats, weight, bias }) =>
      kernels.normInputGrad(device, g, x, stats, sizes, { weight, bias, activation }),
    ),
    row('normWeightGrad', shape, { g, x, stats, weight, bias }, (device, { g, x, stats, weight, bias }) =>
      kernels.normWeightGrad(device, 'weight', g, x, stats, sizes, {
        weight,
        bias,
        activation,
      }),
    ),
    row('normSecondGrad', shape, { u: g, g, x, stats, weight }, (device, { u, g, x, stats, weight }) =>
      kernels.normSecondGrad(device, u, g, x, stats, weight, sizes),
    ),
  ]
})

export const norm = family('norm', norms)
