import type { Student } from '../models/index.ts'

/** Plain data that tells networks apart, without their parameters' values. */
export interface StudentIdentity {
  name: string
  /** [C, H, W] of the images. */
  inputShape: number[]
  /** Shapes by name. */
  parameters: Record<string, number[]>
  hyperparameters?: Record<string, number> | undefined
}

export const studentIdentity = ({ name, inputShape, parameters, hyperparameters }: Student): StudentIdentity => ({
  ...{ name, inputShape: [...inputShape] },
  parameters: Object.fromEntries(Object.entries(parameters).map(([key, { shape }]) => [key, [...shape]])),
  ...(hyperparameters && { hyperparameters: { ...hyperparameters } }),
})
