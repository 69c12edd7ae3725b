import * as v from 'valibot'
import { dataError, type Ld3mError, optionError } from '../errors.ts'
import { autoencoder, describeProblems, stateDictProblems } from '../models/index.ts'
import { ldmFfhq, ldmImageNet } from './presets.ts'
import { type PriorConfig, priorParameters } from './prior.ts'

/** Characters of a configuration in a file's metadata. */
const MAX_TEXT = 2 ** 22

const positive = v.pipe(v.number(), v.integer(), v.minValue(1))

// A file is not to ask for networks without end, which are built before its tensors are compared with theirs.
const levels = v.optional(v.pipe(v.array(v.unknown()), v.maxLength(16)))
const blocks = v.optional(v.pipe(v.number(), v.maxValue(64)))

const configSchema = v.object({
  name: v.string(),
  classes: v.pipe(v.number(), v.integer(), v.minValue(0)),
  classNames: v.optional(v.array(v.pipe(v.string(), v.normalize('NFC')))),
  image: v.object({ channels: positive, height: positive, width: positive }),
  latentScale: v.pipe(v.number(), v.finite(), v.gtValue(0)),
  // The modules check their own options.
  autoencoder: v.looseObject({
    ...{ channels: positive, latentChannels: positive },
    ...{ channelMult: levels, numResBlocks: blocks, stages: v.optional(v.pipe(v.number(), v.maxValue(16))), blocks },
  }),
  denoiser: v.looseObject({
    ...{ inChannels: positive, contextDim: v.optional(positive) },
    ...{ channelMult: levels, numResBlocks: blocks, attentionLevels: levels },
  }),
})

/** The configuration that a file states in its metadata. Throws Ld3mError `data` unless it is one. */
export function parsePriorConfig(text: string): PriorConfig {
  const fail = (what: string, cause?: unknown) =>
    dataError(`The prior's configuration in the file's metadata ${what}.`, 'Make the file with trainPrior.', cause)
  if (text.length > MAX_TEXT) throw fail(`has ${text.length} characters, more than the ${MAX_TEXT} that are read`)
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (cause) {
    throw fail('is not JSON', cause)
  }
  return checkPriorConfig(json, fail)
}

/**
 * Throws unless `config` describes a prior whose parts fit each other.
 * @param fail makes the error; `what` completes "The prior's configuration"
 */
export function checkPriorConfig(config: unknown, fail: (what: string) => Ld3mError): PriorConfig {
  const result = v.safeParse(configSchema, config)
  if (!result.success) {
    throw fail(`does not fit: ${result.issues.map((i) => `${v.getDotPath(i)}: ${i.message}`).join('; ')}`)
  }
  const { classNames } = result.output
  const checked = { ...(config as PriorConfig), ...(classNames && { classNames }) }
  const { classes, image, autoencoder: first, denoiser } = checked
  if (classNames && classNames.length !== classes) {
    throw fail(`has ${classes} classes and ${classNames.length} names of them`)
  }
  if ((classes === 0) !== (denoiser.contextDim === undefined)) {
    throw fail(
      `has ${classes} classes and a denoiser with contextDim ${denoiser.contextDim}, where both belong together, ` +
        'or neither for an unconditional prior',
    )
  }
  if (image.channels !== first.channels || denoiser.inChannels !== first.latentChannels) {
    throw fail(
      `has images of ${image.channels} channels, an autoencoder from ${first.channels} to ${first.latentChannels} ` +
        `channels and a denoiser of ${denoiser.inChannels}`,
    )
  }
  const unit = autoencoder(first).downsampling * 2 ** (denoiser.channelMult.length - 1)
  if (image.height % unit !== 0 || image.width % unit !== 0) {
    throw fail(`has images of ${image.height}×${image.width}, and its networks take multiples of ${unit}`)
  }
  return checked
}

type Shapes = ReadonlyMap<string, { readonly shape: readonly number[] }>

/**
 * The published model, at `size` (default 256), that has these tensors.
 * @throws Ld3mError `data` if there is none, with what is wrong with the nearest one
 */
export function publishedConfig(tensors: Shapes, size: number | undefined): PriorConfig {
  const options = size === undefined ? {} : { size }
  const own = Object.fromEntries(tensors)
  const compared = [ldmImageNet, ldmFfhq].map((preset) => {
    const config = preset(options)
    const parameters = priorParameters(config)
    const { missing, misshapen } = stateDictProblems({ parameters }, own)
    const share = (missing.length + misshapen.length) / Object.keys(parameters).length
    return { config, share, differences: describeProblems({ missing, misshapen, unexpected: [] }) }
  })
  const nearest = compared.reduce((a, b) => (b.share < a.share ? b : a))
  if (nearest.share === 0) return nearest.config
  const but = nearest.share < 0.5 ? `; nearest is ${nearest.config.name}, but ${nearest.differences}` : ''
  throw dataError(
    `The file states no configuration in its metadata, and its tensors are those of no published model${but}.`,
    'Make the file with trainPrior (ld3m-gpu train-prior), or pass config.',
  )
}

/** The configuration that a caller passes. Throws Ld3mError `option` unless it describes a prior. */
export const givenConfig = (config: unknown): PriorConfig =>
  checkPriorConfig(config, (what) => optionError(`priorFromCheckpoint: config ${what}.`, 'Correct it.'))
