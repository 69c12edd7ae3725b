import { optionError } from '../errors.ts'
import { dc, dm, type MttOptions, mtt, type Objective, openExperts } from '../ld3m/index.ts'
import { expertsFolder } from '../node/index.ts'
import { countOf, sharedArguments } from './arguments.ts'

/** What says what is matched, and how. */
export const OBJECTIVE_ARGUMENTS = sharedArguments({
  objective: {
    type: 'enum',
    options: ['dm', 'dc', 'mtt'],
    default: 'dm',
    description: 'Match distributions, gradients or trajectories',
  },
  'outer-loops': {
    type: 'string',
    valueHint: 'N',
    description: 'For dc: iterations that one network serves; default 1',
  },
  'inner-loops': {
    type: 'string',
    valueHint: 'N',
    description: 'For dc: epochs that it trains on the images between two of them; default 1',
  },
  experts: { type: 'string', valueHint: 'DIR', description: 'For mtt: a folder that the command experts made' },
  'max-start-epoch': {
    type: 'string',
    valueHint: 'N',
    description: "For mtt: the student starts at one of the expert's first N epochs; default 2",
  },
  'expert-epochs': {
    type: 'string',
    valueHint: 'N',
    description: 'For mtt: epochs of the expert that the student is to cover; default 2',
  },
  differentiation: {
    type: 'enum',
    options: ['exact', 'constant'],
    description: 'For mtt: exact (default), or in memory that does not grow with the steps of the student',
  },
})

/** Their values. */
export interface ObjectiveArguments {
  readonly objective: string
  readonly 'outer-loops'?: string | undefined
  readonly 'inner-loops'?: string | undefined
  readonly experts?: string | undefined
  readonly 'max-start-epoch'?: string | undefined
  readonly 'expert-epochs'?: string | undefined
  readonly differentiation?: string | undefined
}

/** The options that an objective alone takes. */
const OWN = {
  dc: ['outer-loops', 'inner-loops'],
  mtt: ['experts', 'max-start-epoch', 'expert-epochs', 'differentiation'],
} as const

/**
 * The objective that a command line describes, with the experts that trajectory matching needs.
 * @throws Ld3mError `option` for an option of another objective
 */
export async function objectiveOf(given: ObjectiveArguments): Promise<Objective> {
  const { objective: name } = given
  for (const [owner, options] of Object.entries(OWN)) {
    const stray = owner === name ? undefined : options.find((option) => given[option] !== undefined)
    if (stray) throw optionError(`--${stray} is of no use to --objective ${name}.`, 'Leave it out.')
  }
  if (name === 'mtt') return await trajectories(given)
  return name === 'dm' ? dm() : gradients(given)
}

function gradients({ 'outer-loops': outer = '1', 'inner-loops': inner = '1' }: ObjectiveArguments): Objective {
  return dc({ loops: { outer: countOf('outer-loops', outer), inner: countOf('inner-loops', inner) } })
}

async function trajectories(given: ObjectiveArguments): Promise<Objective> {
  const { experts: folder, 'max-start-epoch': start, 'expert-epochs': epochs, differentiation } = given
  if (folder === undefined) {
    throw optionError('--objective mtt needs --experts.', 'Make a folder of them with `ld3m-gpu experts`.')
  }
  return mtt({
    ...(start !== undefined && { maxStartEpoch: countOf('max-start-epoch', start) }),
    ...(epochs !== undefined && { expertEpochs: countOf('expert-epochs', epochs) }),
    ...(differentiation !== undefined && {
      differentiation: differentiation as NonNullable<MttOptions['differentiation']>,
    }),
    experts: await openExperts(expertsFolder(folder)),
  })
}
