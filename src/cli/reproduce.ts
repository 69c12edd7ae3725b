import process from 'node:process'
import { optionError } from '../errors.ts'
import { type PaperRecipe, paperRecipe, paperRecipeByName, paperRows } from '../ld3m/index.ts'
import { reproduce } from '../node/index.ts'
import { counted } from '../words.ts'
import { command, INERT, inertNames, integer } from './arguments.ts'

export const reproduceCommand = command(
  'reproduce',
  "Run a row of the paper's tables: distil, choose the iteration, test on unseen networks; run again, it goes on",
  {
    row: { type: 'positional', required: false, description: 'A name of --list, such as table4-imagenet-a-dm' },
    list: { type: 'boolean', description: 'Show all rows' },
    imagenet: { type: 'string', valueHint: 'PATH', description: 'ImageNet: folders train and val, or Parquet files' },
    cifar: { type: 'string', valueHint: 'PATH', description: 'CIFAR-10, for the rows of Table 2' },
    checkpoint: { type: 'string', valueHint: 'FILE', description: 'The generator that the row names' },
    ...INERT,
    out: { type: 'string', valueHint: 'DIR', description: 'Where the run is saved' },
    seed: { type: 'string', valueHint: 'N', default: '0', description: 'Same seed, same adapter: same result' },
  },
  async ({ row, list, imagenet, cifar, checkpoint, inert, out, seed }) => {
    if (list) {
      say(paperRows.map((known) => summary(paperRecipe(known))).join('\n'))
      return
    }
    if (row === undefined) throw optionError('reproduce: no row is named.', 'See --list.')
    const recipe = paperRecipeByName(row)
    if (checkpoint === undefined) {
      throw optionError(
        'reproduce: --checkpoint is missing.',
        `Give the file of the generator: ${FILES[recipe.prior]}.`,
      )
    }
    if (out === undefined) throw optionError('reproduce: --out is missing.', 'Give a folder, such as runs/table4.')
    say(`${summary(recipe)}\n${recipe.assumed.map((what) => `  assumed: ${what}`).join('\n')}`)
    const paths = { ...(imagenet !== undefined && { imagenet }), ...(cifar !== undefined && { cifar }) }
    const { mean } = await reproduce(recipe, {
      ...{ ...paths, checkpoint, ...inertNames(inert), out },
      seed: integer('seed', seed),
    })
    say(`Mean over the unseen networks: ${(100 * mean).toFixed(1)} %${inPaper(recipe, ', in the paper ')}`)
  },
)

const PUBLISHED = 'https://ommer-lab.com/files/latent-diffusion'
const IMAGENET = `latent diffusion's model.ckpt for ImageNet (cin256-v2), published at ${PUBLISHED}/nitro/cin/model.ckpt`

/** What a generator's file is called, and where latent diffusion's README says that it is published. */
const FILES: Readonly<Record<PaperRecipe['prior'], string>> = {
  imagenet: IMAGENET,
  ffhq: `latent diffusion's model.ckpt for FFHQ, published in ${PUBLISHED}/ffhq.zip`,
  random: `${IMAGENET}; its denoiser is replaced by a random one`,
}

/** A row in one line. */
function summary(recipe: PaperRecipe): string {
  const { name, size, imagesPerClass, prior } = recipe
  const images = `${counted(imagesPerClass, 'image')} a class`
  return `${name.padEnd(44)}  ${size}×${size}, ${images}, generator ${prior}${inPaper(recipe, ', paper: ')}`
}

function inPaper({ published }: PaperRecipe, before: string): string {
  if (!published) return ''
  const { mean, std } = published
  return `${before}${mean.toFixed(1)}${std === undefined ? '' : ` ± ${std.toFixed(1)}`} %`
}

const say = (text: string): void => {
  process.stdout.write(`${text}\n`)
}
