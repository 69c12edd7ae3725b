import { extname, join } from 'node:path'
import { listed } from '../words.ts'
import type { Listing } from './folders.ts'
import { formatOf } from './image-decoder.ts'

/** What sharp reads as it is installed from npm; `sharp.format` says so. */
const JPEG = ['.jpg', '.jpeg', '.jpe', '.jfif', '.jfi', '.jif', '.pjpeg', '.pjp']
const READABLE = new Set([...JPEG, '.png', '.apng', '.webp', '.avif', '.gif', '.tif', '.tiff'])

/** The same by sharp's names; AVIF's is that of its container. */
const READABLE_FORMATS = new Set<string | undefined>(['jpeg', 'png', 'webp', 'heif', 'gif', 'tiff'])

/** Photographs of kinds that sharp does not read. Icons and vector graphics are none, and ignored like other files. */
const UNREADABLE = new Set([
  ...['.heic', '.heics', '.heif', '.heifs', '.hif', '.bmp', '.dib', '.jxl', '.jxr', '.wdp', '.hdp'],
  ...['.jp2', '.j2k', '.j2c', '.jpc', '.jpf', '.jpx', '.jpm', '.pbm', '.pgm', '.ppm', '.pnm', '.pam', '.pfm', '.tga'],
  ...['.pcx', '.dds', '.exr', '.hdr', '.psd', '.psb', '.xcf', '.dcm', '.fits'],
  // Camera raw.
  ...['.dng', '.raw', '.3fr', '.arw', '.cr2', '.cr3', '.crw', '.dcr', '.erf', '.fff', '.iiq', '.kdc', '.mef', '.mos'],
  ...['.mrw', '.nef', '.nrw', '.orf', '.pef', '.raf', '.rw2', '.rwl', '.sr2', '.srf', '.srw', '.x3f'],
])

const kindOf = (file: string): string => extname(file).toLowerCase()

/** What a message says of the files that count as images. */
export const KINDS =
  'Images are files ending in .jpg, .jpeg, .png, .webp, .avif, .gif or .tif, or in another spelling of these.'

/** The images among the files of a folder, by name. */
export interface ImagesOfFolder {
  readonly readable: readonly string[]
  /** Images by their names, of kinds that are not read. */
  readonly unreadable: readonly string[]
}

/** Sorts out the images of a folder by their endings, and by what they hold where they have none. */
export async function imagesOf(folder: string, { files }: Listing): Promise<ImagesOfFolder> {
  const readable: string[] = []
  for (const file of files) {
    const kind = kindOf(file)
    const isImage = kind === '' ? READABLE_FORMATS.has(await formatOf(join(folder, file))) : READABLE.has(kind)
    if (isImage) readable.push(file)
  }
  return { readable, unreadable: files.filter((file) => UNREADABLE.has(kindOf(file))) }
}

/** Files by kind, the most frequent first: '12 .heic, 1 .bmp'. */
export function countedByKind(files: readonly string[]): string {
  const counts = new Map<string, number>()
  for (const file of files) counts.set(kindOf(file), (counts.get(kindOf(file)) ?? 0) + 1)
  const kinds = [...counts].sort(([, a], [, b]) => b - a)
  return listed(
    kinds.map(([kind, count]) => `${count.toLocaleString('en-US')} ${kind}`),
    10,
  )
}
