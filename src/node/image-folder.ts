import { readFile } from 'node:fs/promises'
import { basename, join, relative, resolve, sep } from 'node:path'
import {
  createStreamedDataset,
  type Dataset,
  findClasses,
  imagenetClass,
  inMemory,
  type StreamedDataset,
} from '../data/index.ts'
import { dataError, rejectUnknownOptions } from '../errors.ts'
import { checkSplit, isSplitName, type Listing, listFolder, named, namesOfSplit, type Split } from './folders.ts'
import { type ImageFormat, openImageDecoder } from './image-decoder.ts'
import { countedByKind, imagesOf, KINDS } from './image-kinds.ts'

export interface ImageFolderOptions extends ImageFormat {
  /** Which of the folders `train`, `val`, `test`. Default 'train', or everything where there are no such folders. */
  readonly split?: Split
  /**
   * The classes to take, in this order: names of folders, or an ImageNet subset such as `imagenette`. Default all, in the
   * order of their names.
   */
  readonly classes?: readonly string[]
  /** Default: the folder's own. */
  readonly name?: string
}

export const IMAGE_FOLDER_FIELDS = ['split', 'classes', 'name', 'size', 'channels'] as const

/**
 * Loads a folder of images into memory: `root/CLASS/…/x.jpg`, as torchvision's ImageFolder takes it, or, with parts,
 * `root/train/CLASS/…`, as ImageNet is laid out. Where all folders are named by ImageNet's ids (`n01440764`), the classes
 * get ImageNet's names (`tench`). How images are resized, cropped and converted: see `ImageFormat` and the guide.
 * @throws Ld3mError `data` if there are no images, the layout is mixed, images are of a kind that is not read (HEIC, BMP),
 * or one cannot be read, by its name; `option` for a class or a split that is not there
 */
export async function loadImageFolder(path: string, options: ImageFolderOptions): Promise<Dataset> {
  rejectUnknownOptions('loadImageFolder', options, IMAGE_FOLDER_FIELDS)
  return await inMemory(await streamImageFolder(path, options, 0))
}

/** The same, decoded on demand, with a cache of so many bytes. */
export async function streamImageFolder(
  path: string,
  { split, classes, name = basename(resolve(path)), ...format }: ImageFolderOptions,
  cacheBytes: number | undefined,
): Promise<StreamedDataset> {
  checkSplit('loadImageFolder', split)
  const decode = await openImageDecoder(format)
  const root = await classRoot(path, split)
  const folders = await classFolders(root)
  const chosen = classes
    ? findClasses('classes', { name, classNames: folders.map(composed) }, classes).map((label) => folders[label]!)
    : folders
  const files: string[] = []
  const counts: number[] = []
  const unreadable: string[] = []
  for (const folder of chosen) {
    const own = await imagesUnder(join(root, folder), unreadable)
    for (const file of own) files.push(file)
    counts.push(own.length)
  }
  if (unreadable.length > 0) {
    throw dataError(
      `${root} holds images of kinds that are not read: ${countedByKind(unreadable)}, such as ${unreadable[0]}.`,
      'Convert them, say to JPEG, or move them out of the folder.',
    )
  }
  const empty = counts.indexOf(0)
  if (empty >= 0) {
    throw dataError(`The class folder ${join(root, chosen[empty]!)} holds no images.`, `Fill or remove it. ${KINDS}`)
  }
  const { size, channels = 3 } = format
  return createStreamedDataset({
    name,
    labels: Uint16Array.from(counts.flatMap((count, label) => new Array<number>(count).fill(label))),
    classNames: readableNames(chosen),
    ...{ channels, height: size, width: size },
    load: async (index) => await decode(await readImage(files[index]!), files[index]!),
    ...(cacheBytes !== undefined && { cacheBytes }),
  })
}

/** The paths below a folder of the images that `streamImageFolder` gives of all classes, in that order. */
export async function imagePaths(path: string): Promise<string[]> {
  const root = await classRoot(path, undefined)
  const paths: string[] = []
  for (const folder of await classFolders(root)) {
    for (const file of await imagesUnder(join(root, folder), [])) paths.push(relative(path, file).replaceAll(sep, '/'))
  }
  return paths
}

/** The folder whose subfolders are the classes. */
async function classRoot(path: string, split: Split | undefined): Promise<string> {
  const top = await listFolder(path)
  const parts = await partFolders(path, top)
  if (parts.length === 0) {
    if (split === undefined) return path
    throw dataError(
      `${path} has no parts: there is no folder ${split} in it, only ${named(top.folders)}.`,
      'Leave out split for all images, and divide them with splitDataset.',
    )
  }
  const others: string[] = []
  for (const folder of top.folders) {
    if (!parts.includes(folder) && (await anyImage(join(path, folder)))) others.push(folder)
  }
  if (others.length > 0) {
    throw dataError(
      `${path} mixes two layouts: beside ${named(parts)} there are folders of images, ${named(others)}.`,
      'Either put all classes directly into the folder, or all of them into its parts.',
    )
  }
  const [part] = namesOfSplit(split ?? 'train', parts)
  if (part === undefined) {
    throw dataError(`${path} has no part '${split ?? 'train'}', only ${named(parts)}.`, 'Give split as one of them.')
  }
  return join(path, part)
}

/** The folders among those of a listing that are parts; of none, the folder's images are not divided. */
export async function partFolders(path: string, { folders }: Listing): Promise<string[]> {
  const parts: string[] = []
  // A class may be called "train": what holds images itself is a class.
  for (const folder of folders.filter(isSplitName)) {
    if (!(await holdsImages(join(path, folder)))) parts.push(folder)
  }
  return parts
}

/** The names of the class folders. */
async function classFolders(root: string): Promise<readonly string[]> {
  const listing = await listFolder(root)
  await refuseStrayImages(root, listing)
  if (listing.folders.length === 0) {
    throw dataError(`${root} has no class folders; it holds ${named(listing.files)}.`, `Make one a class. ${KINDS}`)
  }
  return listing.folders
}

/** Throws if images lie beside the class folders, or where those should be. */
export async function refuseStrayImages(root: string, listing: Listing): Promise<void> {
  const { readable, unreadable } = await imagesOf(root, listing)
  const stray = [...readable, ...unreadable]
  if (stray.length === 0) return
  throw dataError(
    `${root} holds images that belong to no class: ${named(stray)}.`,
    'Put the images of each class into a folder of its own.',
  )
}

/** True if there is an image in a folder itself. */
async function holdsImages(path: string, listing?: Listing): Promise<boolean> {
  const { readable, unreadable } = await imagesOf(path, listing ?? (await listFolder(path)))
  return readable.length + unreadable.length > 0
}

/** A folder's name as that of a class; its path keeps the form that it has on the disk. */
const composed = (folder: string): string => folder.normalize('NFC')

/** ImageNet's names instead of WordNet's ids, if all are such ids. */
function readableNames(folders: readonly string[]): string[] {
  const classes = folders.map((folder) => imagenetClass(folder))
  return folders.map((folder, k) =>
    classes.every((known, i) => known?.wnid === folders[i]) ? classes[k]!.name : folder,
  )
}

/** True if there is an image anywhere below a folder. */
export async function anyImage(path: string): Promise<boolean> {
  const listing = await listFolder(path)
  if (await holdsImages(path, listing)) return true
  for (const folder of listing.folders) if (await anyImage(join(path, folder))) return true
  return false
}

/** All images below a folder, in the order of their names, folder by folder; those of kinds that are not read go to `unreadable`. */
async function imagesUnder(path: string, unreadable: string[]): Promise<string[]> {
  const listing = await listFolder(path)
  const found = await imagesOf(path, listing)
  for (const file of found.unreadable) unreadable.push(join(path, file))
  const own = found.readable.map((file) => join(path, file))
  for (const folder of listing.folders) {
    for (const file of await imagesUnder(join(path, folder), unreadable)) own.push(file)
  }
  return own
}

async function readImage(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path)
  } catch (cause) {
    throw dataError(`Cannot read the image ${path}: ${(cause as Error).message}.`, 'Leave the folder as it was.', cause)
  }
}
