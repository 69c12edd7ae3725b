import { optionError } from '../../errors.ts'
import { type AlexNetOptions, alexNet } from './alexnet.ts'
import { type ConvNetOptions, convNet } from './convnet.ts'
import { type ResNetOptions, resNet } from './resnet.ts'
import type { Student } from './student.ts'
import { type VggOptions, vgg } from './vgg.ts'
import { type VitOptions, vit } from './vit.ts'

export { type AlexNetOptions, alexNet } from './alexnet.ts'
export { type ConvNetOptions, convNet } from './convnet.ts'
export { type ResNetOptions, resNet } from './resnet.ts'
export type { Student, StudentOptions } from './student.ts'
export { type VggOptions, vgg } from './vgg.ts'
export { type VitOptions, vit } from './vit.ts'

interface OptionsByName {
  readonly ConvNet: ConvNetOptions
  readonly AlexNet: AlexNetOptions
  readonly VGG: VggOptions
  readonly ResNet: ResNetOptions
  readonly ViT: VitOptions
}

export type StudentName = keyof OptionsByName

const students: { readonly [N in StudentName]: (options: OptionsByName[N]) => Student } = {
  ConvNet: convNet,
  AlexNet: alexNet,
  VGG: vgg,
  ResNet: resNet,
  ViT: vit,
}

export const studentNames = Object.keys(students) as readonly StudentName[]

/**
 * The student called `name`, for command lines and configuration files.
 * @throws Ld3mError `option` if there is none
 */
export function studentByName<N extends StudentName>(name: N, options: OptionsByName[N]): Student {
  if (!Object.hasOwn(students, name)) {
    throw optionError(`studentByName: no student is called '${name}'.`, `Known: ${studentNames.join(', ')}.`)
  }
  return students[name](options)
}
