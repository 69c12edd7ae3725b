/**
 * TensorFlow.js's works. What it is given to be fast: its own layouts, images [N, H, W, C] and convolution weights
 * [kh, kw, C, O] (arrays change their layout before and after the timed part); production mode; tidied memory; the
 * convolution fused with its bias; its optimiser, which updates in place.
 */

import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu'
import type * as Core from '@tensorflow/tfjs-core'
import type { Rank, Tensor, Tensor1D, Tensor2D, Tensor3D, Tensor4D, Variable } from '@tensorflow/tfjs-core'
import type { AdapterKind } from '../../src/node/index.ts'
import { type Arrays, type HostArray, named } from './arrays.ts'
import { loadBundled } from './bundle.ts'
import { type Library, type Program, Runtime } from './library.ts'
import { BLOCKS, blockNames, MATCHING_EPS, NORM_EPS, type Work } from './works.ts'

type TensorFlow = typeof Core
type Tensors = Readonly<Record<string, Tensor>>
type Run = (inputs: Tensors) => Tensors

/** As a bundler for browsers puts it together; its files for Node leave the gradients out. */
const SOURCE = `
export * from '@tensorflow/tfjs-core'
import '@tensorflow/tfjs-core/dist/register_all_gradients'
import '@tensorflow/tfjs-backend-webgpu'`

/** Needs a `navigator` with WebGPU. */
export async function openTensorFlow(kind: AdapterKind): Promise<Library> {
  const tf = await loadBundled<TensorFlow>(SOURCE)
  tf.enableProdMode()
  await tf.setBackend('webgpu')
  const backend = tf.backend() as WebGPUBackend
  const runtime = new Runtime(backend.device, kind)

  return {
    name: 'tensorflow.js',
    version: tf.version_core,
    async prepare(work) {
      const arrays = work.inputs()
      const layouts = new Layouts(tf, arrays)
      const inputs = Object.fromEntries(
        Object.entries(arrays).map(([name, array]) => [name, layouts.upload(name, array)]),
      )
      const run = runOf(tf, work, inputs)
      const program: Program<Tensors> = {
        run: () => tf.tidy(() => run(inputs)),
        flush() {
          backend.ensureCommandEncoderReady()
          backend.endComputePassEncoder()
          backend.submitQueue()
        },
        read: (results) => layouts.read(results),
        // Of a training step the results are the inputs.
        release: (results) => tf.dispose(Object.values(results).filter((t) => !Object.values(inputs).includes(t))),
        dispose: () => tf.dispose(inputs as Core.NamedTensorMap),
      }
      return runtime.prepared(program)
    },
    close: async () => backend.dispose(),
  }
}

/** Between this bench's layouts and TensorFlow's. */
class Layouts {
  constructor(
    readonly tf: TensorFlow,
    readonly inputs: Arrays,
  ) {}

  upload(name: string, { data, shape }: HostArray): Tensor {
    if (name === 'labels') return this.tf.tensor(Int32Array.from(data), [...shape], 'int32')
    return this.tf.tidy(() => this.#change(name, this.tf.tensor(data, [...shape]), false))
  }

  async read(results: Tensors): Promise<Arrays> {
    const entries = Object.entries(results).map(async ([name, t]): Promise<[string, HostArray]> => {
      const ours = this.tf.tidy(() => this.#change(name, t, true))
      const data = (await ours.data()) as Float32Array
      const { shape } = ours
      if (ours !== t) ours.dispose()
      return [name, { shape, data }]
    })
    return Object.fromEntries(await Promise.all(entries))
  }

  /** @param back from TensorFlow's layout to this bench's */
  #change(name: string, x: Tensor, back: boolean): Tensor {
    const { tf } = this
    if (name.endsWith('classifier.weight')) {
      // Its columns are the last block's [C, H, W]; TensorFlow flattens [H, W, C].
      const [classes, features] = x.shape as [number, number]
      const { shape } = named(this.inputs, 'images')
      const [h, w] = [(shape[2] as number) / 2 ** BLOCKS, (shape[3] as number) / 2 ** BLOCKS]
      const c = features / (h * w)
      const apart = back ? tf.reshape(x, [classes, h, w, c]) : tf.reshape(x, [classes, c, h, w])
      return tf.reshape(tf.transpose(apart, back ? [0, 3, 1, 2] : [0, 2, 3, 1]), [classes, features])
    }
    if (x.rank !== 4) return x
    if (name.endsWith('weight')) return tf.transpose(x, back ? [3, 2, 0, 1] : [2, 3, 1, 0])
    return tf.transpose(x, back ? [0, 3, 1, 2] : [0, 2, 3, 1])
  }
}

const of = <R extends Rank>(tensors: Tensors, name: string): Tensor<R> => tensors[name] as Tensor<R>

function withGradients(tf: TensorFlow, names: readonly string[], forward: (...inputs: Tensor[]) => Tensor): Run {
  return (inputs) => {
    const xs = names.map((name) => of(inputs, name))
    if (!inputs.g) return { y: forward(...xs) }
    const { value, grads } = tf.valueAndGrads(forward as (...args: Tensor[]) => Core.Scalar)(
      xs,
      inputs.g as Core.Scalar,
    )
    return { y: value, ...Object.fromEntries(grads.map((d, i) => [`d${names[i]}`, d])) }
  }
}

function runOf(tf: TensorFlow, { task }: Work, inputs: Tensors): Run {
  switch (task.op) {
    case 'matmul':
      return ({ a, b }) => ({ y: tf.matMul(a as Tensor2D, b as Tensor2D) })
    case 'conv':
      // Explicit padding: with 'same', TensorFlow pads strided convolutions at the other side.
      return withGradients(tf, ['x', 'weight'], (x, weight) =>
        tf.conv2d(x as Tensor4D, weight as Tensor4D, task.stride, 1, 'NHWC', [1, 1], 'floor'),
      )
    case 'norm':
      return withGradients(tf, ['x', 'weight', 'bias'], (x, weight, bias) => {
        const y = groupNorm(tf, x as Tensor4D, weight as Tensor1D, bias as Tensor1D, task.groups)
        return tf.mul(y, tf.sigmoid(y))
      })
    case 'attention':
      return withGradients(tf, ['q', 'k', 'v'], (q, k, v) => {
        const scores = tf.mul(tf.matMul(q as Tensor3D, k as Tensor3D, false, true), (q?.shape[2] as number) ** -0.5)
        return tf.matMul(tf.softmax(scores), v as Tensor3D)
      })
    case 'training':
      return trainingStep(tf, inputs, task.learningRate)
    case 'matching':
      return (inputs) => matchingStep(tf, inputs)
  }
}

function groupNorm(tf: TensorFlow, x: Tensor4D, weight: Tensor1D, bias: Tensor1D, groups: number): Tensor4D {
  const [n, h, w, c] = x.shape
  const grouped = tf.reshape(x, [n, h * w, groups, c / groups])
  const { mean, variance } = tf.moments(grouped, [1, 3], true)
  const normalised = tf.mul(tf.sub(grouped, mean), tf.rsqrt(tf.add(variance, NORM_EPS)))
  return tf.add(tf.mul(tf.reshape(normalised, x.shape), weight), bias)
}

function instanceNorm(tf: TensorFlow, x: Tensor4D, weight: Tensor1D, bias: Tensor1D): Tensor4D {
  const { mean, variance } = tf.moments(x, [1, 2], true)
  return tf.add(tf.mul(tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, NORM_EPS))), weight), bias)
}

function logitsOf(tf: TensorFlow, images: Tensor4D, parameters: Tensors): Tensor2D {
  let x = images
  for (let block = 0; block < BLOCKS; block++) {
    const { conv, norm } = blockNames(block)
    const [filter, bias] = [of<Rank.R4>(parameters, `${conv}.weight`), of(parameters, `${conv}.bias`)]
    const y = tf.fused.conv2d({ x, filter, bias, strides: 1, pad: 'same' })
    const scaled = instanceNorm(tf, y, of(parameters, `${norm}.weight`), of(parameters, `${norm}.bias`))
    x = tf.avgPool(tf.relu(scaled), 2, 2, 'valid')
  }
  const features = tf.reshape(x, [images.shape[0], -1]) as Tensor2D
  const products = tf.matMul(features, of<Rank.R2>(parameters, 'classifier.weight'), false, true)
  return tf.add(products, of(parameters, 'classifier.bias'))
}

function crossEntropy(tf: TensorFlow, logits: Tensor2D, labels: Tensor): Core.Scalar {
  const targets = tf.oneHot(labels as Tensor1D, logits.shape[1])
  return tf.neg(tf.mean(tf.sum(tf.mul(targets, tf.logSoftmax(logits)), 1)))
}

const isParameter = (name: string) => name.startsWith('features.') || name.startsWith('classifier.')

/** The parameters are variables, which the optimiser updates in place. */
function trainingStep(tf: TensorFlow, inputs: Tensors, learningRate: number): Run {
  const optimizer = tf.train.sgd(learningRate)
  const own = inputs as Record<string, Tensor>
  for (const name of Object.keys(own).filter(isParameter)) {
    const initial = own[name] as Tensor
    own[name] = tf.variable(initial)
    initial.dispose()
  }
  const parameters = Object.fromEntries(Object.entries(inputs).filter(([name]) => isParameter(name)))
  const variables = Object.values(parameters) as Variable[]
  return ({ images, labels }) => {
    optimizer.minimize(
      () => crossEntropy(tf, logitsOf(tf, images as Tensor4D, parameters), labels as Tensor),
      false,
      variables,
    )
    return parameters
  }
}

function matchingStep(tf: TensorFlow, inputs: Tensors): Tensors {
  const matched = Object.keys(inputs).filter((name) => `real.${name}` in inputs)
  const distance = (images: Tensor): Core.Scalar => {
    const loss = (...weights: Tensor[]) => {
      const replaced = { ...inputs, ...Object.fromEntries(weights.map((weight, i) => [matched[i], weight])) }
      return crossEntropy(tf, logitsOf(tf, images as Tensor4D, replaced), inputs.labels as Tensor)
    }
    const gradients = tf.grads(loss)(matched.map((name) => of(inputs, name)))
    return tf.addN(
      gradients.map((gradient, i) => rowDistance(tf, gradient, of(inputs, `real.${matched[i]}`))),
    ) as Core.Scalar
  }
  const { value, grad } = tf.valueAndGrad(distance)(inputs.images as Tensor)
  return { loss: value, dimages: grad }
}

/** Σ over output rows of 1 − cosine. Outputs are a convolution weight's last axis, a linear one's first. */
function rowDistance(tf: TensorFlow, gradient: Tensor, real: Tensor): Tensor {
  const axes = gradient.rank === 4 ? [0, 1, 2] : [1]
  const norm = (x: Tensor) => tf.sqrt(tf.add(tf.sum(tf.square(x), axes), MATCHING_EPS.root))
  const products = tf.add(tf.mul(norm(gradient), norm(real)), MATCHING_EPS.product)
  return tf.sum(tf.sub(1, tf.div(tf.sum(tf.mul(gradient, real), axes), products)))
}
