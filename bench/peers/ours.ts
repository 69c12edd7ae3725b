/** This library's works, through its public ops, models and optimiser. */
import { grad, ops, scope, type Tensor, tensor, tensorsIn } from '../../src/autograd/index.ts'
import { convNet, Params } from '../../src/models/index.ts'
import { type AdapterKind, openDevice } from '../../src/node/index.ts'
import { Sgd } from '../../src/optim/index.ts'
import { type Arrays, type HostArray, named } from './arrays.ts'
import { type Library, type Program, Runtime } from './library.ts'
import { BLOCKS, MATCHING_EPS, type Work } from './works.ts'

type Tensors = Readonly<Record<string, Tensor>>
type Run = (inputs: Tensors) => Tensors

/** @param version of this library */
export async function openOurs(kind: AdapterKind, version: string): Promise<Library> {
  const device = await openDevice({ adapter: kind })
  const runtime = new Runtime(device.handle, kind)
  const upload = (name: string, { data, shape }: HostArray, requiresGrad: boolean) =>
    name === 'labels' ? tensor(device, Int32Array.from(data), { shape }) : tensor(device, data, { shape, requiresGrad })

  return {
    name: 'ld3m-gpu',
    version,
    async prepare(work) {
      const arrays = work.inputs()
      const leaves = leavesOf(work, arrays)
      const inputs = Object.fromEntries(
        Object.entries(arrays).map(([name, array]) => [name, upload(name, array, leaves.includes(name))]),
      )
      const run = runOf(work, arrays)
      const program: Program<Tensors> = {
        run: () => scope(() => run(inputs)),
        flush: () => device.flush(),
        read,
        release: disposeAll,
        dispose: () => disposeAll(inputs),
      }
      return runtime.prepared(program)
    },
    close: async () => device.destroy(),
  }
}

async function read(results: Tensors): Promise<Arrays> {
  const entries = Object.entries(results).map(async ([name, t]) => [name, { shape: t.shape, data: await t.read() }])
  return Object.fromEntries(await Promise.all(entries))
}

function disposeAll(tensors: Tensors): void {
  for (const t of tensorsIn(tensors)) t.dispose()
}

/** The inputs that gradients are taken with respect to. */
function leavesOf({ task }: Work, arrays: Arrays): string[] {
  const names = Object.keys(arrays)
  if (task.op === 'training') return names.filter((name) => name !== 'images')
  if (task.op === 'matching') return names.filter((name) => !name.startsWith('real.'))
  return 'g' in arrays ? names.filter((name) => name !== 'g') : []
}

const of = (tensors: Tensors, name: string): Tensor => tensors[name] as Tensor

/** y of some inputs, and where a gradient g arrives the inputs' gradients. */
function withGradients(names: readonly string[], forward: (...inputs: Tensor[]) => Tensor): Run {
  return (inputs) => {
    const xs = names.map((name) => of(inputs, name))
    const y = forward(...xs)
    if (!inputs.g) return { y: y.detach() }
    const gradients = grad(y, xs, { gradOutput: inputs.g })
    return { y: y.detach(), ...Object.fromEntries(gradients.map((d, i) => [`d${names[i]}`, d])) }
  }
}

function runOf({ task }: Work, arrays: Arrays): Run {
  switch (task.op) {
    case 'matmul':
      return (inputs) => ({ y: ops.matmul(of(inputs, 'a'), of(inputs, 'b')) })
    case 'conv':
      return withGradients(['x', 'weight'], (x, weight) =>
        ops.conv2d(x as Tensor, weight as Tensor, { stride: task.stride, padding: 1 }),
      )
    case 'norm':
      return withGradients(['x', 'weight', 'bias'], (x, weight, bias) =>
        ops.groupNorm(x as Tensor, { groups: task.groups, weight, bias, activation: 'silu' }),
      )
    case 'attention':
      return withGradients(['q', 'k', 'v'], (q, k, v) => ops.attention(q as Tensor, k as Tensor, v as Tensor))
    case 'training':
      return trainingStep(arrays, task.learningRate)
    case 'matching':
      return matchingStep(arrays)
  }
}

function networkOf(arrays: Arrays) {
  const [, channels, height, width] = named(arrays, 'images').shape as [number, number, number, number]
  const weight = named(arrays, 'features.0.weight')
  const classes = named(arrays, 'classifier.bias').shape[0] as number
  return convNet({ channels, size: [height, width], classes, depth: BLOCKS, width: weight.shape[0] as number })
}

const subset = (tensors: Tensors, names: readonly string[]): Tensors =>
  Object.fromEntries(names.map((name) => [name, of(tensors, name)]))

/** The parameters are updated in place; the results are handles on them. */
function trainingStep(arrays: Arrays, learningRate: number): Run {
  const network = networkOf(arrays)
  const names = Object.keys(network.parameters)
  return (inputs) => {
    const state = subset(inputs, names)
    const logits = network.apply(new Params(state), of(inputs, 'images'))
    const gradients = grad(ops.crossEntropy(logits, of(inputs, 'labels')), Object.values(state))
    new Sgd(state, { lr: learningRate }).step(Object.fromEntries(gradients.map((g, i) => [names[i], g])))
    return Object.fromEntries(names.map((name) => [name, of(state, name).detach()]))
  }
}

function matchingStep(arrays: Arrays): Run {
  const network = networkOf(arrays)
  const names = Object.keys(network.parameters)
  const matched = names.filter((name) => `real.${name}` in arrays)
  return (inputs) => {
    const images = of(inputs, 'images')
    const logits = network.apply(new Params(subset(inputs, names)), images)
    const loss = ops.crossEntropy(logits, of(inputs, 'labels'))
    const weights = matched.map((name) => of(inputs, name))
    const gradients = grad(loss, weights, { createGraph: true })
    const distance = gradients
      .map((gradient, i) => rowDistance(gradient, of(inputs, `real.${matched[i]}`)))
      .reduce((a, b) => ops.add(a, b))
    const [dimages] = grad(distance, [images])
    return { loss: distance.detach(), dimages: dimages as Tensor }
  }
}

/** Σ over rows of 1 − cosine. */
function rowDistance(gradient: Tensor, real: Tensor): Tensor {
  const [a, b] = [gradient, real].map((x) => ops.reshape(x, [x.shape[0] as number, -1])) as [Tensor, Tensor]
  const norm = (x: Tensor) => ops.sqrt(ops.add(ops.sum(ops.square(x), 1), MATCHING_EPS.root))
  const cosine = ops.div(ops.sum(ops.mul(a, b), 1), ops.add(ops.mul(norm(a), norm(b)), MATCHING_EPS.product))
  return ops.sum(ops.affine(cosine, -1, 1))
}
