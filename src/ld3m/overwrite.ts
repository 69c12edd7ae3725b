import { noGrad, scope, type Tensor } from '../autograd/index.ts'

/** Replaces a tensor's elements, in place, by those of what is computed: f32, of the same shape. */
export function overwrite(tensor: Tensor, compute: () => Tensor): void {
  scope(() => tensor.device.copy(noGrad(compute).buffer, 0, tensor.buffer, 0, tensor.size * 4))
}
