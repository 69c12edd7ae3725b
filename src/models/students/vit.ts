import { type HostRandom, ops, type Tensor } from '../../autograd/index.ts'
import { givenOptions, optionError } from '../../errors.ts'
import { dropout } from '../dropout.ts'
import { joinHeads, splitHeads } from '../heads.ts'
import { compose, linear, sequential } from '../layers.ts'
import type { Module } from '../module.ts'
import { positiveIntegers } from '../options.ts'
import { inputShapeOf, type Student, type StudentOptions, student } from './student.ts'

export interface VitOptions extends StudentOptions {
  /** Side of the square patches that are tokens; divides the image's sides. Default 16; 4 for images below 64 pixels. */
  patch?: number
  /** Length of a token. Default 512. */
  width?: number
  /** Blocks of attention and feed-forward layers. Default 10; 6 for images below 64 pixels. */
  depth?: number
  /** Heads of attention. Default 8. */
  heads?: number
  /** Length of a head's queries, keys and values. Default 64. */
  headWidth?: number
  /** Length of the feed-forward layers' hidden vectors. Default 512. */
  hidden?: number
  /** Probability of dropout, 0 and below 1, in training; what `dm`, `dc` and `mtt` match is computed without. Default 0.1. */
  dropout?: number
}

type Draws = HostRandom | undefined

/** Self-attention of x: [N, T, width]; queries, keys and values come from one layer. */
function attention(width: number, heads: number, headWidth: number, rate: number): Module<[x: Tensor, draws: Draws]> {
  const inner = heads * headWidth
  const children = {
    to_qkv: linear(width, 3 * inner, { bias: false }),
    to_out: sequential({ 0: linear(inner, width) }),
  }
  return compose(children, ({ to_qkv, to_out }, x: Tensor, draws: Draws) => {
    const all = to_qkv(x)
    const part = (i: number) => splitHeads(ops.slice(all, 2, i * inner, (i + 1) * inner), heads)
    const mixed = ops.attention(part(0), part(1), part(2), { scale: headWidth ** -0.5 })
    return dropout(to_out(joinHeads(mixed, heads)), rate, draws)
  })
}

/** Linear, GELU, linear. */
function feedForward(width: number, hidden: number, rate: number): Module<[x: Tensor, draws: Draws]> {
  const net = compose({ 0: linear(width, hidden), 3: linear(hidden, width) }, (layers, x: Tensor, draws: Draws) => {
    const inner = dropout(ops.gelu(layers[0](x)), rate, draws)
    return dropout(layers[3](inner), rate, draws)
  })
  return compose({ net }, (layer, x: Tensor, draws: Draws) => layer.net(x, draws))
}

/** Attention and a feed-forward layer, each added to its input. */
const block = (options: Required<VitOptions>): Module<[x: Tensor, draws: Draws]> => {
  const { width, heads, headWidth, hidden, dropout: rate } = options
  const children = { 0: attention(width, heads, headWidth, rate), 1: feedForward(width, hidden, rate) }
  return compose(children, (layers, x: Tensor, draws: Draws) => {
    const attended = ops.add(layers[0](x, draws), x)
    return ops.add(layers[1](attended, draws), attended)
  })
}

/** x: [N, count, width] → a learned class token before them, and learned positions added, [N, count + 1, width]. */
function positionedTokens(count: number, { width, dropout: rate }: Required<VitOptions>): Module<[Tensor, Draws]> {
  const init = { kind: 'normal', std: 1 } as const
  return {
    parameters: {
      pos_embedding: { shape: [1, count + 1, width], init },
      cls_token: { shape: [1, 1, width], init },
    },
    apply: (params, x, draws) => {
      const first = ops.broadcastTo(params.get('cls_token'), [x.shape[0] as number, 1, width])
      return dropout(ops.add(ops.concat([first, x], 1), params.get('pos_embedding')), rate, draws)
    },
  }
}

/** Images [N, C, H, W] → patches row by row, [N, patches, patch² · C], a pixel's channels together. */
function patches(images: Tensor, patch: number): Tensor {
  const [n, c, h, w] = images.shape as [number, number, number, number]
  const [rows, columns] = [h / patch, w / patch]
  const apart = ops.reshape(images, [n, c, rows, patch, columns, patch])
  return ops.reshape(ops.permute(apart, [0, 2, 4, 3, 5, 1]), [n, rows * columns, patch * patch * c])
}

/**
 * Vision transformer (Dosovitskiy et al. 2021) as distillation papers use it: a class token, learned positions, and no
 * layer norm. Small images get small patches and fewer blocks.
 */
export function vit(options: VitOptions): Student {
  const where = 'vit'
  const known = ['patch', 'width', 'depth', 'heads', 'headWidth', 'hidden', 'dropout']
  const inputShape = inputShapeOf(where, options, known)
  const [channels, height, columns] = inputShape
  const small = Math.min(height, columns) < 64
  const resolved: Required<VitOptions> = {
    ...{ patch: small ? 4 : 16, width: 512, depth: small ? 6 : 10, heads: 8, headWidth: 64, hidden: 512, dropout: 0.1 },
    ...givenOptions(options),
  }
  const { patch, width, depth, dropout: rate } = resolved
  const { heads, headWidth, hidden } = resolved
  positiveIntegers(where, { patch, width, depth, heads, headWidth, hidden })
  if (!(rate >= 0 && rate < 1)) throw optionError(`vit: dropout is ${rate}.`, 'Use a number from 0 and below 1.')
  if (height % patch !== 0 || columns % patch !== 0) {
    throw optionError(
      `vit: patches of ${patch}×${patch} do not tile images of ${height}×${columns}.`,
      'Use a patch that divides both sides.',
    )
  }
  const tokens = positionedTokens((height / patch) * (columns / patch), resolved)
  const layers = sequential<[Draws]>(Array.from({ length: depth }, () => block(resolved)))
  const children = {
    to_patch_embedding: sequential({ 1: linear(patch * patch * channels, width) }),
    transformer: compose({ layers }, (transformer, x: Tensor, draws: Draws) => transformer.layers(x, draws)),
  }
  const body = compose(
    children,
    ({ to_patch_embedding, transformer }, images: Tensor, positioned: (x: Tensor) => Tensor, draws: Draws) => {
      const x = transformer(positioned(to_patch_embedding(patches(images, patch))), draws)
      return ops.reshape(ops.slice(x, 1, 0, 1), [-1, width])
    },
  )
  const extractor: Module<[images: Tensor, draws: Draws]> = {
    parameters: { ...tokens.parameters, ...body.parameters },
    apply: (params, images, draws) => body.apply(params, images, (x) => tokens.apply(params, x, draws), draws),
  }
  return student('ViT', inputShape, resolved.classes, extractor, width, {
    classifierName: 'mlp_head',
    hyperparameters: { heads, headWidth, dropout: rate },
  })
}
