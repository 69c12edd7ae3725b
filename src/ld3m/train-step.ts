import { grad, type HostRandom, noGrad, ops, type Tensor, tensor } from '../autograd/index.ts'
import { type AnyDataset, type Augmentation, augment } from '../data/index.ts'
import { convNet, Params, type StateDict, type Student } from '../models/index.ts'
import type { Sgd } from '../optim/index.ts'

/** A student whose parameters are trained in place. */
export interface StudentInTraining {
  readonly student: Student
  readonly state: StateDict
  /** Of the same parameters. */
  readonly optimizer: Sgd
}

/**
 * One step of training on the mean cross entropy of augmented images; call it in a scope.
 * @param images as networks see them (normalised), [N, C, H, W]
 * @param labels class of each, [N]
 * @param draws of dropout, for a student that has it
 * @returns the loss, one element
 */
export function trainStep(
  { student, state, optimizer }: StudentInTraining,
  images: Tensor,
  labels: Tensor,
  draw: Augmentation,
  draws: HostRandom,
): Tensor {
  const augmented = noGrad(() => augment(images, draw))
  const loss = ops.crossEntropy(student.apply(new Params(state), augmented, draws), labels)
  const gradients = grad(loss, Object.values(state))
  optimizer.step(Object.fromEntries(Object.keys(state).map((name, i) => [name, gradients[i] as Tensor])))
  return loss.detach()
}

/** Labels on the device. */
export const labelTensor = (like: Tensor, labels: Iterable<number>): Tensor =>
  tensor(like.device, Int32Array.from(labels))

/** The student where none is given: a ConvNet of depth 3 and width 32 for the dataset's images and classes. */
export const defaultStudent = ({ channels, height, width, classNames }: AnyDataset): Student =>
  convNet({ channels, size: [height, width], classes: classNames.length, depth: 3, width: 32 })
