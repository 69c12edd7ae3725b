import { optionError } from '../../errors.ts'
import { type KlAutoencoder, klAutoencoder } from './kl.ts'
import type { AutoencoderOptions } from './options.ts'
import { type TinyAutoencoder, tinyAutoencoder } from './tiny.ts'
import { type VqAutoencoder, vqAutoencoder } from './vq.ts'

export type Autoencoder = VqAutoencoder | KlAutoencoder | TinyAutoencoder

/** The autoencoder that options describe, by their `kind`; without one, vector-quantised. */
export function autoencoder(options: AutoencoderOptions): Autoencoder {
  switch (options.kind) {
    case undefined:
    case 'vq':
      return vqAutoencoder(options)
    case 'kl':
      return klAutoencoder(options)
    case 'tiny':
      return tinyAutoencoder(options)
    default:
      throw optionError(
        `autoencoder: unknown kind '${(options as { kind: unknown }).kind}'.`,
        "Use 'vq', 'kl' or 'tiny'.",
      )
  }
}
