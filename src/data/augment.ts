import { expectShape, ops, type Tensor, tensor } from '../autograd/index.ts'
import { shapeError } from '../errors.ts'
import type { Augmentation, Draws } from './augment-draw.ts'

type Of<Op extends Augmentation['op']> = Extract<Augmentation, { op: Op }>

/**
 * Applies a drawn operation to images x: [N, C, H, W], with gradients of every order. A siamese draw fits a batch of any
 * N. Images may be normalised: zeros come in from outside, as in the original.
 * @throws Ld3mError `shape` if the draw was made for another number of samples
 */
export function augment(x: Tensor, draw: Augmentation): Tensor {
  expectShape('augment: x', x.shape, ['N', 'C', 'H', 'W'])
  switch (draw.op) {
    case 'none':
      return x.alias()
    case 'color':
      return color(x, draw)
    case 'crop':
      return crop(x, draw)
    case 'cutout':
      return cutout(x, draw)
    case 'flip':
      return flip(x, draw)
    case 'scale':
      return scale(x, draw)
    case 'rotate':
      return rotate(x, draw)
  }
}

/** Throws unless there is one draw, or one for each sample. */
function checkCount(x: Tensor, draws: Draws): void {
  if (draws.length !== 1 && draws.length !== x.shape[0]) {
    throw shapeError(
      `augment: the draw is for ${draws.length} samples, x has ${x.shape[0]}.`,
      'Draw with count = the number of samples, or without count for one draw for all.',
    )
  }
}

/** p·x + q, with one p and q, or one of each a sample. */
function scaleShift(x: Tensor, p: Draws, q?: Draws): Tensor {
  if (p.length === 1) return ops.affine(x, p[0] as number, q?.[0] ?? 0)
  const column = (values: Draws) => tensor(x.device, values, { shape: [values.length, 1, 1, 1] })
  const scaled = ops.mul(x, column(p))
  return q ? ops.add(scaled, column(q)) : scaled
}

/**
 * Brightness, saturation and contrast, one after the other: with b, s, k drawn, grey the mean over channels and mean that
 * over the image, B = x + b, S = s·(B − grey) + grey, result = k·(S − mean) + mean. As s keeps the grey and all
 * three keep or shift the mean, that is k·s·x + k·(1 − s)·grey(x) + (1 − k)·mean(x) + b.
 */
function color(x: Tensor, { brightness, saturation, contrast }: Of<'color'>): Tensor {
  checkCount(x, brightness)
  const grey = x.shape[1] !== 1
  const combine = (f: (s: number, k: number) => number) =>
    contrast.map((k, i) => f(grey ? (saturation[i] as number) : 1, k))
  const own = scaleShift(
    x,
    combine((s, k) => k * s),
    brightness,
  )
  const ofImage = scaleShift(
    ops.mean(x, [1, 2, 3], { keepDims: true }),
    combine((_, k) => 1 - k),
  )
  if (!grey) return ops.add(own, ofImage)
  const ofPixel = scaleShift(
    ops.mean(x, 1, { keepDims: true }),
    combine((s, k) => k * (1 - s)),
  )
  return ops.add(own, ops.add(ofPixel, ofImage))
}

function crop(x: Tensor, { down, right }: Of<'crop'>): Tensor {
  checkCount(x, down)
  const [, , h, w] = x.shape as [number, number, number, number]
  const [d, r] = [down[0] as number, right[0] as number]
  if (down.length === 1) {
    return ops.pad(x, [
      [0, 0],
      [0, 0],
      [-d, d],
      [-r, r],
    ])
  }
  // In the grid's coordinates the distance of two pixels is 2/(side − 1). A side of one pixel is never moved.
  const step = (shift: number, side: number) => (side === 1 ? 0 : (2 * shift) / (side - 1))
  return sample(
    x,
    down.flatMap((shift, i) => [1, 0, step(right[i] as number, w), 0, 1, step(shift, h)]),
  )
}

function cutout(x: Tensor, { top, left, side: [sideY, sideX] }: Of<'cutout'>): Tensor {
  checkCount(x, top)
  const [, , h, w] = x.shape as [number, number, number, number]
  const mask = new Float32Array(top.length * h * w).fill(1)
  for (const [i, t] of top.entries()) {
    const l = left[i] as number
    for (let row = Math.max(0, t); row < Math.min(h, t + sideY); row++) {
      const start = (i * h + row) * w
      mask.fill(0, start + Math.max(0, l), start + Math.min(w, l + sideX))
    }
  }
  return ops.mul(x, tensor(x.device, mask, { shape: [top.length, 1, h, w] }))
}

function flip(x: Tensor, { mirrored }: Of<'flip'>): Tensor {
  checkCount(x, mirrored)
  if (mirrored.length === 1) return mirrored[0] === 1 ? ops.flip(x, 3) : x.alias()
  const chosen = tensor(x.device, mirrored, { shape: [mirrored.length, 1, 1, 1] })
  return ops.select(chosen, ops.flip(x, 3), x)
}

function scale(x: Tensor, { x: across, y: down }: Of<'scale'>): Tensor {
  checkCount(x, across)
  return sample(
    x,
    across.flatMap((sx, i) => [sx, 0, 0, 0, down[i] as number, 0]),
  )
}

function rotate(x: Tensor, { angle }: Of<'rotate'>): Tensor {
  checkCount(x, angle)
  return sample(
    x,
    angle.flatMap((a) => [Math.cos(a), -Math.sin(a), 0, Math.sin(a), Math.cos(a), 0]),
  )
}

/** x resampled at affine maps of its own grid, bilinearly with zeros outside; 2×3 matrices, one or one a sample. */
function sample(x: Tensor, matrices: readonly number[]): Tensor {
  const [, , h, w] = x.shape as [number, number, number, number]
  const theta = tensor(x.device, matrices, { shape: [matrices.length / 6, 2, 3] })
  return ops.gridSample2d(x, ops.affineGrid(theta, [h, w]))
}
