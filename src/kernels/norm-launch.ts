import type { Device, GpuBuffer } from '../gpu/index.ts'
import { FILL, teamFor } from './team.ts'

// What all kernels of the norm family share: sizes, the epilogue, who computes what.

/** Sizes of a group norm of x: [samples, channels, inner]. Layer norm over D is channels = D, inner = 1, groups = 1. */
export interface NormSizes {
  readonly samples: number
  readonly channels: number
  readonly inner: number
  /** Groups of one sample; divides `channels`. */
  readonly groups: number
}

export type Activation = 'none' | 'silu' | 'relu'

/** The learned scale and shift, and the activation fused behind them. */
export interface NormEpilogue {
  readonly weight?: GpuBuffer | undefined
  readonly bias?: GpuBuffer | undefined
  readonly activation: Activation
}

/** Elements that an invocation takes at once: four neighbours, where they share a channel or are channels themselves. */
const widthOf = (channels: number, inner: number): 1 | 4 =>
  inner % 4 === 0 || (inner === 1 && channels % 4 === 0) ? 4 : 1

/** Teams, one a group, and params of the kernels that walk groups; `Team` says how a team joins. */
export function launch(device: Device, { samples, channels, inner, groups }: NormSizes) {
  const own = channels / groups
  const width = widthOf(own, inner)
  const all = samples * groups
  const { constants, grid } = teamFor(device, all, own * inner)
  const { LANES, SIZE, Team } = constants
  const V = width === 4 ? 'vec4f' : 'f32'
  const W = width === 4 && inner === 1 ? 'vec4f' : 'f32'
  return {
    constants: { LANES, SIZE, Team, V, W, WIDTH: width },
    elements: all * own * inner,
    groups: all,
    groups_per_sample: groups,
    // In units of `width` elements.
    channels: inner === 1 ? own / width : own,
    inner: inner === 1 ? 1 : inner / width,
    grid,
  }
}

export const ACTIVATION = { none: 'NONE', silu: 'SILU', relu: 'RELU' } as const

// Objects are written out here and below: to spread several into one takes longer than all else in a launch.

/** The variants of the kernels that compute or undo the epilogue. */
export const epilogueConstants = (
  { LANES, SIZE, Team, V, W, WIDTH }: ReturnType<typeof launch>['constants'],
  { weight, bias, activation }: NormEpilogue,
) => ({
  LANES,
  SIZE,
  Team,
  V,
  W,
  WIDTH,
  WEIGHT: weight !== undefined,
  BIAS: bias !== undefined,
  ACTIVATION: ACTIVATION[activation],
})

/** Partial sums that a weight gradient is spread over on software adapters, if there are enough samples. */
const SOFTWARE_PARTS = 64

/**
 * Samples that a team adds up. On a GPU walking a sample takes the time of some memory reads, one after the other, and
 * adding up a few hundred partial sums takes as long as a few: `reduce` shares those between invocations again.
 */
function samplesPerChunk(device: Device, { samples, channels, inner }: NormSizes): number {
  if (device.info.software) {
    const wanted = Math.min(samples, Math.max(1, Math.floor(SOFTWARE_PARTS / channels)))
    return Math.max(Math.ceil(samples / wanted), Math.min(samples, Math.ceil(64 / inner)))
  }
  const { LANES } = teamFor(device, samples * channels, inner).constants
  const room = Math.max(1, Math.floor(FILL / (channels * LANES)))
  const chunks = Math.min(samples, room, Math.max(256, Math.ceil(samples / 16)))
  return Math.max(Math.ceil(samples / chunks), Math.min(samples, Math.ceil(4 / inner)))
}

/** Teams, one a channel of a chunk of samples, and params of the kernels that add up by channel. */
export function launchByChannel(device: Device, sizes: NormSizes) {
  const { samples, channels, inner, groups } = sizes
  const width = inner % 4 === 0 ? 4 : 1
  const perChunk = samplesPerChunk(device, sizes)
  const chunks = Math.ceil(samples / perChunk)
  const { constants, grid } = teamFor(device, chunks * channels, inner)
  const { LANES, SIZE, Team } = constants
  return {
    constants: { LANES, SIZE, Team, V: width === 4 ? 'vec4f' : 'f32', WIDTH: width },
    elements: samples * channels * inner,
    params: {
      samples,
      channels,
      inner: inner / width,
      groups_per_sample: groups,
      chunks,
      samples_per_chunk: perChunk,
    },
    grid,
  }
}
