/**
 * jax-js's works. What it is given to be fast: every work is one function under `jit`, gradients included, so that its
 * kernels fuse and nothing is traced in the timed part; parameters that are handed from training step to training step.
 * Attention is two products and a softmax over [heads, tokens, depth]: its own dotProductAttention, over [tokens, heads,
 * depth], is not faster, and needs Node 22.
 */
import type * as Jax from '@jax-js/jax'
import type { AdapterKind } from '../../src/node/index.ts'
import { type Arrays, type HostArray, named } from './arrays.ts'
import { type Library, type Program, Runtime } from './library.ts'
import { BLOCKS, blockNames, MATCHING_EPS, NORM_EPS, type Work } from './works.ts'

type JaxJs = typeof Jax
type Value = Jax.Array
type Values = Record<string, Value>

/** Needs a `navigator` with WebGPU. */
export async function openJax(kind: AdapterKind, version: string): Promise<Library> {
  const jax = await import('@jax-js/jax')
  await jax.init('webgpu')
  jax.defaultDevice('webgpu')
  const runtime = new Runtime(jax.getWebGPUDevice(), kind)

  return {
    name: 'jax-js',
    version,
    async prepare(work) {
      const arrays = work.inputs()
      const inputs = Object.fromEntries(Object.entries(arrays).map(([name, array]) => [name, upload(jax, name, array)]))
      await jax.blockUntilReady(inputs)
      const step = jax.jit(functionOf(jax, work, arrays) as (inputs: Values) => Values)
      const program: Program<Values> = {
        run() {
          const results = step(borrow(inputs))
          // Dispatches, which else waits until somebody reads.
          for (const result of Object.values(results)) result.ref.gpuBufferSync()
          if (work.task.op === 'training') {
            for (const [name, result] of Object.entries(results)) {
              inputs[name]?.dispose()
              inputs[name] = result.ref
            }
          }
          return results
        },
        flush() {},
        read,
        release: disposeAll,
        dispose() {
          disposeAll(inputs)
          step.dispose()
        },
      }
      return runtime.prepared(program)
    },
    close: async () => jax.getWebGPUDevice().destroy(),
  }
}

function upload({ numpy: np }: JaxJs, name: string, { data, shape }: HostArray): Value {
  if (name === 'labels') return np.array(Int32Array.from(data))
  // It takes over the array, without a copy.
  return np.array(Float32Array.from(data)).reshape([...shape])
}

/** Another reference to each: functions take theirs over. */
const borrow = (values: Values): Values =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, value.ref]))

async function read(results: Values): Promise<Arrays> {
  const entries = Object.entries(results).map(async ([name, value]): Promise<[string, HostArray]> => {
    const { shape } = value
    return [name, { shape, data: (await value.ref.data()) as Float32Array }]
  })
  return Object.fromEntries(await Promise.all(entries))
}

function disposeAll(values: Values): void {
  for (const value of Object.values(values)) value.dispose()
}

const of = (values: Values, name: string): Value => values[name] as Value

/** y of some inputs, and where a gradient g arrives the inputs' gradients. */
function withGradients(jax: JaxJs, names: readonly string[], forward: (...inputs: Value[]) => Value) {
  return (inputs: Values): Values => {
    const xs = names.map((name) => of(inputs, name))
    if (!inputs.g) return { y: forward(...xs) }
    const [y, back] = jax.vjp(forward, xs)
    const gradients = back(inputs.g) as Value[]
    back.dispose()
    return { y, ...Object.fromEntries(gradients.map((d, i) => [`d${names[i]}`, d])) }
  }
}

function functionOf(jax: JaxJs, { task }: Work, arrays: Arrays): (inputs: Values) => Values {
  const { numpy: np, nn, lax } = jax
  switch (task.op) {
    case 'matmul':
      return ({ a, b }) => ({ y: np.matmul(a as Value, b as Value) })
    case 'conv':
      return withGradients(jax, ['x', 'weight'], (x, weight) => convolve(lax, x as Value, weight as Value, task.stride))
    case 'norm':
      return withGradients(jax, ['x', 'weight', 'bias'], (x, weight, bias) =>
        nn.silu(groupNorm(nn, x as Value, weight as Value, bias as Value, task.groups)),
      )
    case 'attention':
      return withGradients(jax, ['q', 'k', 'v'], (q, k, v) => {
        const scale = (q as Value).shape[2] as number
        const scores = np.matmul(q as Value, np.swapaxes(k as Value, 1, 2)).mul(scale ** -0.5)
        return np.matmul(nn.softmax(scores), v as Value)
      })
    case 'training':
      return trainingStep(jax, arrays, task.learningRate)
    case 'matching':
      return matchingStep(jax, arrays)
  }
}

const convolve = (lax: JaxJs['lax'], x: Value, weight: Value, stride = 1): Value =>
  lax.convGeneralDilated(
    x,
    weight,
    [stride, stride],
    [
      [1, 1],
      [1, 1],
    ],
  )

function groupNorm(nn: JaxJs['nn'], x: Value, weight: Value, bias: Value, groups: number): Value {
  const [n, c, h, w] = x.shape as [number, number, number, number]
  const normalised = nn.standardize(x.reshape([n, groups, (c / groups) * h * w]), -1, { epsilon: NORM_EPS })
  return normalised
    .reshape([n, c, h, w])
    .mul(weight.reshape([c, 1, 1]))
    .add(bias.reshape([c, 1, 1]))
}

/** Takes over the images, not the parameters. */
function logitsOf({ numpy: np, nn, lax }: JaxJs, images: Value, parameters: Values): Value {
  const parameter = (name: string) => of(parameters, name).ref
  let x = images
  for (let block = 0; block < BLOCKS; block++) {
    const { conv, norm } = blockNames(block)
    const bias = parameter(`${conv}.bias`)
    const y = convolve(lax, x, parameter(`${conv}.weight`)).add(bias.reshape([bias.shape[0] as number, 1, 1]))
    const [n, c, h, w] = y.shape as [number, number, number, number]
    const z = nn.relu(groupNorm(nn, y, parameter(`${norm}.weight`), parameter(`${norm}.bias`), c))
    x = z.reshape([n, c, h / 2, 2, w / 2, 2]).mean([3, 5])
  }
  const features = x.reshape([x.shape[0] as number, -1])
  return np.matmul(features, np.transpose(parameter('classifier.weight'))).add(parameter('classifier.bias'))
}

function crossEntropy({ nn }: JaxJs, logits: Value, labels: Value): Value {
  const targets = nn.oneHot(labels, logits.shape[1] as number)
  return nn.logSoftmax(logits).mul(targets).sum(1).mean().neg()
}

const parameterNames = (arrays: Arrays): string[] =>
  Object.keys(arrays).filter((name) => name.startsWith('features.') || name.startsWith('classifier.'))

const subset = (values: Values, names: readonly string[]): Values =>
  Object.fromEntries(names.map((name) => [name, of(values, name)]))

function trainingStep(jax: JaxJs, arrays: Arrays, learningRate: number) {
  const names = parameterNames(arrays)
  const loss = (parameters: Values, images: Value, labels: Value) => {
    const result = crossEntropy(jax, logitsOf(jax, images, parameters), labels)
    disposeAll(parameters)
    return result
  }
  return (inputs: Values): Values => {
    const parameters = subset(inputs, names)
    const gradients = jax.grad(loss)(borrow(parameters), of(inputs, 'images'), of(inputs, 'labels')) as Values
    const updated = names.map((name) => [name, of(parameters, name).sub(of(gradients, name).mul(learningRate))])
    return Object.fromEntries(updated)
  }
}

function matchingStep(jax: JaxJs, arrays: Arrays) {
  const names = parameterNames(arrays)
  const matched = names.filter((name) => `real.${name}` in arrays)
  const shapes = new Map(matched.map((name) => [name, named(arrays, name).shape]))
  const distance = (images: Value, inputs: Values) => {
    // The images come in by closure: as an argument that the inner gradient is not taken of, they get zeros for their
    // gradient in jax-js 0.1.25.
    const loss = (weights: Values) => {
      const result = crossEntropy(jax, logitsOf(jax, images.ref, { ...inputs, ...weights }), of(inputs, 'labels').ref)
      disposeAll(weights)
      return result
    }
    const gradients = jax.grad(loss)(borrow(subset(inputs, matched))) as Values
    return matched
      .map((name) => {
        const rows = (x: Value) => x.reshape([shapes.get(name)?.[0] as number, -1])
        return rowDistance(jax, rows(of(gradients, name)), rows(of(inputs, `real.${name}`)))
      })
      .reduce((a, b) => a.add(b))
  }
  return ({ images, ...inputs }: Values): Values => {
    const [value, gradient] = jax.valueAndGrad(distance)(images as Value, inputs)
    return { loss: value, dimages: gradient as Value }
  }
}

/** Σ over rows of 1 − cosine. */
function rowDistance({ numpy: np }: JaxJs, a: Value, b: Value): Value {
  const norm = (x: Value) => np.sqrt(np.square(x).sum(1).add(MATCHING_EPS.root))
  const products = norm(a.ref).mul(norm(b.ref)).add(MATCHING_EPS.product)
  return np.subtract(1, a.mul(b).sum(1).div(products)).sum()
}
