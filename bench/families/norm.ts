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
  const second = { u: g, x, moments: floats(samples * groups * 4, 0.5, 1), directions: floats(2 * channels) }
  return [
    row('norm', shape, { x, weight, bias }, (device, { x, weight, bias }) => ({
      ...kernels.norm(device, x, sizes, { weight, bias, activation }, 1e-5),
    })),
    row('normInputGrad', shape, { g, x, stats, weight, bias }, (device, { g, x, stats, weight, bias }) =>
      kernels.normInputGrad(device, g, x, stats, sizes, { weight, bias, activation }),
    ),
    row('normWeightGrad', shape, { g, x, stats, weight, bias }, (device, { g, x, stats, weight, bias }) => ({
      ...kernels.normWeightGrad(device, g, x, stats, sizes, { weight, bias, activation }),
    })),
    row('normMoments', shape, { u: g, x, stats }, (device, { u, x, stats }) =>
      kernels.normMoments(device, u, x, stats, sizes),
    ),
    row('normTangent', shape, { ...second, weight, bias }, (device, { u, x, moments, directions, weight, bias }) =>
      kernels.normTangent(device, u, x, moments, directions, sizes, { weight, bias, activation }),
    ),
    ...[kernels.normSecondGrad, kernels.normSecondWeightGrad].map((launch) =>
      row(launch.name, shape, { ...second, g, weight, bias }, (device, t) =>
        launch(device, t.u, t.g, t.x, t.moments, t.directions, sizes, { weight: t.weight, bias: t.bias, activation }),
      ),
    ),
  ]
})

export const norm = family('norm', norms)
