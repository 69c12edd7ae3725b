import { keep, noGrad, ops } from '../autograd/index.ts'
import { dataError } from '../errors.ts'
import { differences, readSafetensors, type StoredTensor, toFloat32, writeSafetensors } from '../io/index.ts'
import type { NamedArrays } from '../models/index.ts'
import type { NamedTensors } from '../optim/index.ts'

/** The tensors that later iterations of a distillation depend on, all f32. */
export interface RunTensors {
  /** Latents and conditionings, or pixels. */
  readonly parameters: NamedTensors
  /** Of their SGD; empty without momentum. */
  readonly velocity: NamedTensors
  /** What the objective keeps. */
  readonly objective: NamedTensors
}

/** A distillation between two iterations. */
export interface RunState extends RunTensors {
  /** What must be the same in the run that goes on, since the result's bits follow from it: plain data. */
  readonly recipe: Readonly<Record<string, unknown>>
  /** Of every iteration so far. */
  readonly loss: readonly number[]
}

/** Copies, beyond every scope. */
export function copyTensors({ parameters, velocity, objective }: RunTensors): RunTensors {
  const copies = (tensors: NamedTensors): NamedTensors =>
    Object.fromEntries(Object.entries(tensors).map(([name, t]) => [name, keep(noGrad(() => ops.scale(t, 1)))]))
  return { parameters: copies(parameters), velocity: copies(velocity), objective: copies(objective) }
}

export function disposeTensors({ parameters, velocity, objective }: RunTensors): void {
  for (const tensors of [parameters, velocity, objective]) {
    for (const t of Object.values(tensors)) t.dispose()
  }
}

const FORMAT = 'ld3m-gpu distillation, version 2'
const OBJECTIVE = 'objective.'
const WHAT = 'the saved state of the distillation'

const prefixed = (prefix: string, tensors: NamedTensors) =>
  Object.entries(tensors).map(([name, t]) => [prefix + name, t] as const)

const ownTensors = ({ parameters, velocity }: Pick<RunState, 'parameters' | 'velocity'>) => [
  ...prefixed('parameters.', parameters),
  ...prefixed('velocity.', velocity),
]

/** The state as safetensors. */
export async function writeRunState(state: RunState): Promise<Uint8Array> {
  const tensors = new Map<string, StoredTensor>()
  for (const [name, t] of [...ownTensors(state), ...prefixed(OBJECTIVE, state.objective)]) {
    tensors.set(name, { dtype: 'F32', shape: t.shape, data: await t.read() })
  }
  return writeSafetensors(tensors, {
    format: FORMAT,
    recipe: JSON.stringify(state.recipe),
    loss: JSON.stringify(state.loss),
  })
}

/** How many iterations a saved state has behind it. */
export const savedIterations = (bytes: Uint8Array): number =>
  (JSON.parse(readSafetensors(bytes, WHAT).metadata.loss ?? '[]') as number[]).length

/**
 * Reads a saved state into the tensors of a run.
 * @returns what the objective kept, and the losses so far
 * @throws Ld3mError `data` if the bytes are not a state of such a run
 */
export function readRunState(
  bytes: Uint8Array,
  run: Omit<RunState, 'objective' | 'loss'>,
): { objective: NamedArrays; loss: readonly number[] } {
  const { tensors, metadata } = readSafetensors(bytes, WHAT)
  if (metadata.format !== FORMAT) throw dataError(`This is not ${WHAT}.`, 'Pass bytes that progress.save() gave.')
  const differing = differences(JSON.parse(metadata.recipe ?? 'null'), JSON.parse(JSON.stringify(run.recipe)))
  if (differing.length > 0) {
    throw dataError(
      `The saved state is of a run with other options: ${differing.join(', ')}.`,
      'Use the same options and data, or start again without resume.',
    )
  }
  const own = ownTensors(run)
  const misfit = own.find(([name, t]) => `${tensors.get(name)?.shape}` !== `${t.shape}`)
  if (misfit) {
    const [name, { shape }] = misfit
    throw dataError(
      `The saved state has ${name} of [${tensors.get(name)?.shape ?? 'no shape'}]; this run's is [${shape}].`,
      'It is damaged; start again without resume.',
    )
  }
  for (const [name, t] of own) t.write(toFloat32(tensors.get(name) as StoredTensor))
  const objective = [...tensors].flatMap(([name, stored]) =>
    name.startsWith(OBJECTIVE)
      ? [[name.slice(OBJECTIVE.length), { shape: stored.shape, data: toFloat32(stored) }] as const]
      : [],
  )
  return { objective: Object.fromEntries(objective), loss: JSON.parse(metadata.loss ?? '[]') as number[] }
}
