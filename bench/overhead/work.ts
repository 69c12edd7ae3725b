/** What is measured: pieces of work that record commands, and how often each is done in one sample. */
import { grad, ops, random, scope, type Tensor, tensor } from '../../src/autograd/index.ts'
import { type Device, type GpuBuffer, Kernel } from '../../src/gpu/index.ts'
import { applyModule, convNet, initialize } from '../../src/models/index.ts'

/** A piece of work that is repeated. */
export interface Work {
  readonly name: string
  /** What the target is about. Ops are counted as they are applied: those of the backward pass, too. */
  readonly unit: 'dispatch' | 'op'
  /** µs a unit that it may take; none where no target is set. */
  readonly target?: number
  /** Runs of `run` in one sample. */
  readonly repeats: number
  /** Synchronous. */
  run(): void
}

const kernel = new Kernel(
  'overhead',
  `struct Params { count: u32, value: f32 }
#params Params
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < params.count) { y[id.x] = x[id.x] * params.value; }
}`,
)

/** Everything that is measured on a device. */
export const workOn = (device: Device): Work[] => [
  dispatches(device),
  plainOps(device),
  recordedOps(device),
  step(device),
]

function dispatches(device: Device): Work {
  const [x, y] = [device.alloc(1024), device.alloc(1024)] as [GpuBuffer, GpuBuffer]
  return {
    name: 'a dispatch of stable buffers',
    unit: 'dispatch',
    target: 5,
    repeats: 1,
    run() {
      for (let i = 0; i < 1024; i++) {
        device.dispatch(kernel.variant(), [x, y], { count: 256, value: i }, [4, 1, 1], WORK)
      }
    },
  }
}
const WORK = { flops: 256, bytes: 2048 }

/** Small tensors that live as long as the device. */
const small = (device: Device, shape: number[]): Tensor => random.normal(device, shape, { seed: 1, stream: 0 })

function plainOps(device: Device): Work {
  const [a, b] = [small(device, [16, 16]), small(device, [16])]
  return {
    name: 'an op without a graph (add, silu, matmul)',
    unit: 'op',
    repeats: 50,
    run() {
      scope(() => {
        let x = a
        for (let i = 0; i < 4; i++) x = scope(() => ops.matmul(ops.silu(ops.add(x, b)), a))
      })
    },
  }
}

function recordedOps(device: Device): Work {
  const x = small(device, [4, 16]).leaf()
  const w = small(device, [16, 16]).leaf()
  const [weight, bias] = [small(device, [16]).leaf(), small(device, [16]).leaf()]
  const gradOutput = small(device, [4, 16])
  const parameters = [x, w, weight, bias]
  return {
    name: 'an op with a graph and its gradient (matmul, groupNorm, add)',
    unit: 'op',
    target: 15,
    repeats: 20,
    run() {
      scope(() => {
        let y: Tensor = x
        for (let i = 0; i < 4; i++) {
          y = scope(() => ops.add(ops.groupNorm(ops.matmul(y, w), { groups: 4, weight, bias }), y))
        }
        grad(y, parameters, { gradOutput })
      })
    },
  }
}

/** 8 images 1×32×32 through a ConvNet-3 of width 32, the loss, and its gradient with respect to all parameters. */
function step(device: Device): Work {
  const student = convNet({ channels: 1, size: 32, classes: 10, depth: 3, width: 32 })
  const state = initialize(device, student, { seed: 0 })
  const weights = Object.values(state)
  const images = small(device, [8, 1, 32, 32])
  const labels = tensor(
    device,
    Int32Array.from({ length: 8 }, (_, i) => i),
  )
  return {
    name: 'a ConvNet-3, forward and backward',
    unit: 'op',
    target: 15,
    repeats: 10,
    run() {
      scope(() => {
        grad(ops.crossEntropy(applyModule(student, state, images), labels), weights)
      })
    },
  }
}
