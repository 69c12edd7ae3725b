/** The works that libraries are compared at: what is computed, from which arrays, with how many operations. */
import { convNet } from '../../src/models/index.ts'
import { type Arrays, type HostArray, uniform } from './arrays.ts'

/** What is computed. Names of inputs and outputs are part of it; `g` is the gradient that arrives at the output. */
export type Task =
  /** a [m, k], b [k, n] → y = a·b */
  | { readonly op: 'matmul' }
  /** x [N, C, H, W], weight [O, C, 3, 3], padding 1 → y; with `gradients` and g also dx, dweight */
  | { readonly op: 'conv'; readonly stride: number; readonly gradients: boolean }
  /** x, weight [C], bias [C] → y = SiLU(group norm of x); with `gradients` and g also dx, dweight, dbias */
  | { readonly op: 'norm'; readonly groups: number; readonly gradients: boolean }
  /** q, k, v [heads, tokens, depth] → y = softmax(q·kᵀ/√depth)·v; with `gradients` and g also dq, dk, dv */
  | { readonly op: 'attention'; readonly gradients: boolean }
  /** images, labels [N], the network's parameters → the parameters after a step of SGD on the mean cross entropy */
  | { readonly op: 'training'; readonly learningRate: number }
  /**
   * images, labels [N], the network's parameters, real.NAME (a gradient for every parameter of rank ≥ 2) → loss [1], the
   * sum over rows of 1 − cosine between the network's gradient and the real one, and dimages
   */
  | { readonly op: 'matching' }

export interface Work {
  readonly name: string
  /** Sizes for people. */
  readonly shape: string
  readonly task: Task
  /** Made anew at each call, since all together are large. */
  readonly inputs: () => Arrays
  /** Operations, a multiply-add counting two, of the products and convolutions; null where there are hardly any. */
  readonly flops: number | null
}

/** What the network's norm adds to the variance, and the group norm's. */
export const NORM_EPS = 1e-5
/** What the matching loss adds under a norm's root and to a product of norms, as in src/ld3m/objectives/dc.ts. */
export const MATCHING_EPS = { root: 1e-20, product: 1e-6 } as const
/** Blocks of the network: convolution, instance norm, ReLU, pooling. */
export const BLOCKS = 3
/** The network's parameters by their place: those of a block's convolution and norm. */
export const blockNames = (block: number) => ({ conv: `features.${4 * block}`, norm: `features.${4 * block + 1}` })

const matmul = (m: number, k: number, n: number): Work => ({
  name: 'matmul',
  shape: `${m}×${k} · ${k}×${n}`,
  task: { op: 'matmul' },
  inputs: () => ({ a: uniform([m, k], 1), b: uniform([k, n], 2) }),
  flops: 2 * m * k * n,
})

const gradientsOf = (names: string, gradients: boolean): string => (gradients ? `forward, ${names}` : 'forward')

type ConvSizes = readonly [n: number, c: number, size: number, o: number, stride?: number]

function conv([n, c, size, o, stride = 1]: ConvSizes, gradients: boolean): Work {
  const out = Math.ceil(size / stride)
  return {
    name: `conv 3×3, ${gradientsOf('dx, dweight', gradients)}`,
    shape: `${n}×${c}×${size}² → ${o}${stride > 1 ? `, stride ${stride}` : ''}`,
    task: { op: 'conv', stride, gradients },
    inputs: () => ({
      x: uniform([n, c, size, size], 1),
      weight: uniform([o, c, 3, 3], 2),
      ...(gradients ? { g: uniform([n, o, out, out], 3) } : {}),
    }),
    flops: 2 * n * o * out * out * c * 9 * (gradients ? 3 : 1),
  }
}

type NormSizes = readonly [n: number, c: number, size: number, groups: number]

const norm = ([n, c, size, groups]: NormSizes, gradients: boolean): Work => ({
  name: `group norm + SiLU, ${gradientsOf('dx, dweight, dbias', gradients)}`,
  shape: `${n}×${c}×${size}², ${groups} groups`,
  task: { op: 'norm', groups, gradients },
  inputs: () => ({
    x: uniform([n, c, size, size], 1),
    weight: uniform([c], 2, 0.5, 1.5),
    bias: uniform([c], 3),
    ...(gradients ? { g: uniform([n, c, size, size], 4) } : {}),
  }),
  flops: null,
})

type AttentionSizes = readonly [heads: number, tokens: number, depth: number]

const attention = ([heads, tokens, depth]: AttentionSizes, gradients: boolean): Work => ({
  name: `attention, ${gradientsOf('dq, dk, dv', gradients)}`,
  shape: `${heads} heads × ${tokens}×${depth}`,
  task: { op: 'attention', gradients },
  inputs: () => {
    const shape = [heads, tokens, depth]
    return {
      ...{ q: uniform(shape, 1), k: uniform(shape, 2), v: uniform(shape, 3) },
      ...(gradients ? { g: uniform(shape, 4) } : {}),
    }
  },
  // Two products forward, four backward.
  flops: 2 * heads * tokens * tokens * depth * (gradients ? 6 : 2),
})

export interface NetworkSizes {
  readonly batch: number
  readonly size: number
  readonly width: number
}

const CHANNELS = 3
const CLASSES = 10

/** Parameters of the network, as PyTorch starts them except for the norms', which differ from channel to channel. */
function networkParameters({ size, width }: NetworkSizes): Arrays {
  const { parameters } = convNet({ channels: CHANNELS, size, classes: CLASSES, depth: BLOCKS, width })
  const entries = Object.entries(parameters).map(([name, { shape, init }], i): [string, HostArray] => {
    if (init.kind === 'uniform') return [name, uniform(shape, 100 + i, -init.bound, init.bound)]
    return [name, name.endsWith('.weight') ? uniform(shape, 100 + i, 0.5, 1.5) : uniform(shape, 100 + i, -0.2, 0.2)]
  })
  return Object.fromEntries(entries)
}

/** Multiply-adds of one forward pass, times two. */
function networkFlops({ batch, size, width }: NetworkSizes): number {
  let flops = 2 * batch * width * (size / 2 ** BLOCKS) ** 2 * CLASSES
  for (let block = 0; block < BLOCKS; block++) {
    flops += 2 * batch * width * (size / 2 ** block) ** 2 * (block === 0 ? CHANNELS : width) * 9
  }
  return flops
}

const networkShape = ({ batch, size, width }: NetworkSizes) => `ConvNet-3, width ${width}, ${batch}×3×${size}²`

/** The input gradient of the first convolution, which training does not need. */
const firstInputGrad = ({ batch, size, width }: NetworkSizes) => 2 * batch * width * size ** 2 * CHANNELS * 9

const training = (sizes: NetworkSizes): Work => ({
  name: 'training step',
  shape: networkShape(sizes),
  task: { op: 'training', learningRate: 0.01 },
  inputs: () => ({
    images: uniform([sizes.batch, CHANNELS, sizes.size, sizes.size], 1),
    labels: { shape: [sizes.batch], data: Float32Array.from({ length: sizes.batch }, (_, i) => i % CLASSES) },
    ...networkParameters(sizes),
  }),
  flops: 3 * networkFlops(sizes) - firstInputGrad(sizes),
})

const matching = (sizes: NetworkSizes): Work => ({
  name: 'gradient matching step',
  shape: networkShape(sizes),
  task: { op: 'matching' },
  inputs: () => {
    const parameters = networkParameters(sizes)
    const real = Object.entries(parameters).flatMap(([name, { shape }], i): [string, HostArray][] =>
      shape.length >= 2 ? [[`real.${name}`, uniform(shape, 200 + i)]] : [],
    )
    const images = uniform([sizes.batch, CHANNELS, sizes.size, sizes.size], 1)
    // All of one class, as class by class matching goes.
    const labels = { shape: [sizes.batch], data: new Float32Array(sizes.batch) }
    return { images, labels, ...parameters, ...Object.fromEntries(real) }
  },
  flops: null,
})

/** Forward, then with gradients, at each of several sizes. */
const both = <S>(sizes: readonly S[], work: (sizes: S, gradients: boolean) => Work): Work[] =>
  [false, true].flatMap((gradients) => sizes.map((s) => work(s, gradients)))

/** @param quick tiny sizes, which only show that everything runs and agrees */
export function works(quick: boolean): Work[] {
  if (quick) {
    return [
      matmul(8, 12, 16),
      ...both([[2, 4, 8, 4, 2]], conv),
      ...both([[2, 8, 4, 4]], norm),
      ...both([[2, 8, 4]], attention),
      training({ batch: 2, size: 16, width: 4 }),
      matching({ batch: 2, size: 16, width: 4 }),
    ]
  }
  return [
    ...[256, 512, 1024].map((n) => matmul(n, n, n)),
    matmul(64, 8192, 64),
    matmul(8192, 64, 64),
    ...both(
      [
        [16, 32, 32, 32],
        [8, 128, 16, 128],
        [4, 512, 8, 512],
        [16, 64, 16, 128, 2],
      ],
      conv,
    ),
    ...both(
      [
        [8, 128, 16, 32],
        [4, 64, 32, 8],
      ],
      norm,
    ),
    ...both(
      [
        [8, 256, 64],
        [8, 1024, 64],
      ],
      attention,
    ),
    training({ batch: 32, size: 32, width: 64 }),
    matching({ batch: 10, size: 32, width: 32 }),
  ]
}
