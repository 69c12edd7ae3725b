import { optionError, shapeError } from '../errors.ts'
import { type Dtype, elementCount, type StoredTensor } from './dtypes.ts'

/** What NumPy calls each dtype: byte order, kind, bytes an element. It has no bfloat16 and no 8-bit floats. */
const DESCRIPTORS = {
  ...{ BOOL: '|b1', U8: '|u1', I8: '|i1', I16: '<i2', U16: '<u2', F16: '<f2', I32: '<i4', U32: '<u4', F32: '<f4' },
  ...{ F64: '<f8', I64: '<i8', U64: '<u8' },
} as const satisfies Partial<Record<Dtype, string>>

/** An array that NumPy can hold: numbers, or a list of texts, [n] of dtype `<U`. */
export type NpyArray = Extract<StoredTensor, { readonly dtype: keyof typeof DESCRIPTORS }> | readonly string[]

/** NumPy's own limit up to version 1; version 2 allows 64. */
const MAX_DIMENSIONS = 32
/** Of the elements' place in the file, so that they can be mapped into memory. */
const ALIGNMENT = 64
/** The magic bytes, the version 1.0, and room for the header's length. */
const PREAMBLE = [0x93, ...new TextEncoder().encode('NUMPY'), 1, 0, 0, 0]

/**
 * The bytes of a `.npy` file, version 1.0, in row-major order: what `np.save` writes.
 * @throws Ld3mError `shape` if the data does not fit its shape or this has more than 32 dimensions, `option` for a text
 * that NumPy would not give back: one that is not well-formed Unicode, or ends with a NUL
 */
export function writeNpy(array: NpyArray): Uint8Array<ArrayBuffer> {
  const { descriptor, shape, content } = 'dtype' in array ? ofNumbers(array) : ofTexts(array)
  const sizes = shape.length === 1 ? `${shape[0]},` : shape.join(', ')
  const header = `{'descr': '${descriptor}', 'fortran_order': False, 'shape': (${sizes}), }`
  const start = Math.ceil((PREAMBLE.length + header.length + 1) / ALIGNMENT) * ALIGNMENT
  const bytes = new Uint8Array(start + content.length)
  bytes.set(PREAMBLE)
  new DataView(bytes.buffer).setUint16(PREAMBLE.length - 2, start - PREAMBLE.length, true)
  bytes.set(new TextEncoder().encode(`${header.padEnd(start - PREAMBLE.length - 1)}\n`), PREAMBLE.length)
  bytes.set(content, start)
  return bytes
}

interface Content {
  readonly descriptor: string
  readonly shape: readonly number[]
  readonly content: Uint8Array
}

function ofNumbers({ dtype, shape, data }: Exclude<NpyArray, readonly string[]>): Content {
  if (elementCount(shape) !== data.length || shape.length > MAX_DIMENSIONS) {
    throw shapeError(
      `An array of shape [${shape.join(', ')}] and ${data.length} elements cannot be saved for NumPy.`,
      `Give at most ${MAX_DIMENSIONS} sizes whose product is the number of elements.`,
    )
  }
  const content = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  return { descriptor: DESCRIPTORS[dtype], shape, content }
}

/** Code points of 32 bits, every text filled up with NULs to the length of the longest. */
function ofTexts(texts: readonly string[]): Content {
  const unstorable = texts.find((text) => /\p{Surrogate}|\0$/u.test(text))
  if (unstorable !== undefined) {
    throw optionError(
      `The text ${JSON.stringify(unstorable)} cannot be saved for NumPy.`,
      'Use well-formed Unicode that does not end with a NUL.',
    )
  }
  const points = texts.map((text) => Uint32Array.from(text, (character) => character.codePointAt(0) as number))
  const length = points.reduce((most, { length }) => Math.max(most, length), 1)
  const all = new Uint32Array(texts.length * length)
  for (const [i, own] of points.entries()) all.set(own, i * length)
  return { descriptor: `<U${length}`, shape: [texts.length], content: new Uint8Array(all.buffer) }
}
