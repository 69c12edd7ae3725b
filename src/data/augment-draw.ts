import type { HostRandom } from '../autograd/index.ts'
import { formatValue, optionError, rejectUnknownOptions, sidesOf } from '../errors.ts'

/** The operations of differentiable siamese augmentation, in the originals' order. */
export const ALL_AUGMENTATIONS = ['color', 'crop', 'cutout', 'flip', 'scale', 'rotate'] as const

export type AugmentationName = (typeof ALL_AUGMENTATIONS)[number]

/** Operations of which each call draws one. Empty: no augmentation. */
export type AugmentationStrategy = readonly AugmentationName[]

/** One number for every sample, or a list with one number each. */
export type Draws = readonly number[]

/**
 * One drawn operation with its parameters: plain data, so that it can be applied to several batches and be stored. Each
 * list has one entry, which holds for all samples (siamese), or one for each sample.
 */
export type Augmentation =
  | { readonly op: 'none' }
  /** Added to each pixel; the factor of what differs from the pixel's grey; that of what differs from the mean. */
  | { readonly op: 'color'; readonly brightness: Draws; readonly saturation: Draws; readonly contrast: Draws }
  /** Pixels that the window moves down and to the right; zeros come in. */
  | { readonly op: 'crop'; readonly down: Draws; readonly right: Draws }
  /** The square's first row and column (which may lie outside) and its side. */
  | { readonly op: 'cutout'; readonly top: Draws; readonly left: Draws; readonly side: readonly [number, number] }
  /** 1: mirrored left to right, 0: not. */
  | { readonly op: 'flip'; readonly mirrored: Draws }
  /** The window's width and height, as multiples of the image's. */
  | { readonly op: 'scale'; readonly x: Draws; readonly y: Draws }
  /** Radians. */
  | { readonly op: 'rotate'; readonly angle: Draws }

export interface DrawOptions {
  /** Operations to draw from. Default all six. */
  strategy?: AugmentationStrategy
  /** Height and width of the images, or the one number that both are. */
  size: number | readonly [height: number, width: number]
  /** Draw parameters for each of so many samples. Default: one draw for all (siamese). */
  count?: number
}

const BRIGHTNESS = 1
const SATURATION = 2
const CONTRAST = 0.5
const CROP = 0.125
const CUTOUT = 0.5
const MIRRORED = 0.5
const SCALE = 1.2
const ROTATE = (15 / 180) * Math.PI

/** The number of pixels that `share` of a side is, as the original rounds it. */
const pixels = (side: number, share: number): number => Math.floor(side * share + 0.5)

/**
 * Draws one operation of the strategy, all equally likely, and its parameters (Zhao & Bilen 2021, with the parameters of
 * its code).
 */
export function drawAugmentation(random: HostRandom, options: DrawOptions): Augmentation {
  rejectUnknownOptions('drawAugmentation', options, ['strategy', 'size', 'count'])
  const { strategy = ALL_AUGMENTATIONS, size, count = 1 } = options
  if (!Number.isInteger(count) || count < 1) {
    throw optionError(`drawAugmentation: count is ${count}.`, 'Use an integer ≥ 1.')
  }
  checkStrategy('drawAugmentation', strategy)
  const [height, width] = sidesOf('drawAugmentation', size)
  if (strategy.length === 0) return { op: 'none' }
  const draws = (draw: () => number): Draws => Array.from({ length: count }, draw)
  const uniform = (low: number, high: number) => draws(() => low + (high - low) * random.uniform())
  /** Whole numbers from low to high, both included. */
  const integers = (low: number, high: number) => draws(() => low + random.integer(high - low + 1))
  const op = random.choice(strategy)
  switch (op) {
    case 'color':
      return {
        op,
        brightness: uniform(-BRIGHTNESS / 2, BRIGHTNESS / 2),
        saturation: uniform(0, SATURATION),
        contrast: uniform(CONTRAST, 1 + CONTRAST),
      }
    case 'crop': {
      const [down, right] = [pixels(height, CROP), pixels(width, CROP)]
      return { op, down: integers(-down, down), right: integers(-right, right) }
    }
    case 'cutout': {
      const side = [pixels(height, CUTOUT), pixels(width, CUTOUT)] as const
      // The centre is any pixel; of an even side, any corner between pixels.
      const first = (length: number, s: number) => integers(-Math.floor(s / 2), length - (s % 2) - Math.floor(s / 2))
      return { op, top: first(height, side[0]), left: first(width, side[1]), side }
    }
    case 'flip':
      return { op, mirrored: draws(() => (random.uniform() < MIRRORED ? 1 : 0)) }
    case 'scale':
      return { op, x: uniform(1 / SCALE, SCALE), y: uniform(1 / SCALE, SCALE) }
    case 'rotate':
      return { op, angle: uniform(-ROTATE, ROTATE) }
  }
}

/** Throws unless `strategy` is an array of operations; `where` names the function for the message. */
export function checkStrategy(where: string, strategy: unknown): asserts strategy is AugmentationStrategy {
  if (!Array.isArray(strategy)) {
    throw optionError(
      `${where}: the augmentation is ${formatValue(strategy)}.`,
      "Pass an array, such as ['color', 'crop'], or [] for none.",
    )
  }
  for (const name of strategy) {
    if (!ALL_AUGMENTATIONS.includes(name)) {
      throw optionError(
        `${where}: unknown augmentation ${formatValue(name)}.`,
        `Known: ${ALL_AUGMENTATIONS.join(', ')}.`,
      )
    }
  }
}

/**
 * The strategy in the form that the original code takes, e.g. `color_crop_cutout_flip_scale_rotate`; `none` or an empty
 * text for none.
 * @throws Ld3mError `option` for an unknown name
 */
export function parseStrategy(text: string): AugmentationStrategy {
  const names = text === '' || text === 'none' ? [] : text.split('_')
  checkStrategy('parseStrategy', names)
  return names
}
