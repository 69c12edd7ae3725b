import { readStoredZip } from './zip.ts'

/** What a `.npy` file holds; texts are of code points. */
export interface ReadNpy {
  readonly descriptor: string
  readonly shape: readonly number[]
  readonly values: readonly (number | string)[]
}

/** Reads a `.npy` file of version 1.0, of the dtypes that a distilled set has. */
export function readNpy(file: Uint8Array): ReadNpy {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength)
  const start = 10 + view.getUint16(8, true)
  const magic = Buffer.from(file.subarray(0, 8)).toString('hex')
  const header = new TextDecoder('latin1').decode(file.subarray(10, start))
  const parts = /^\{'descr': '([^']+)', 'fortran_order': False, 'shape': \(([\d, ]*)\), \} *\n$/.exec(header)
  if (magic !== '934e554d50590100' || !parts || start % 64 !== 0)
    throw new Error(`no header of NumPy: ${JSON.stringify(header)}`)
  const [descriptor, sizes] = parts.slice(1) as [string, string]
  const shape = sizes.split(',').flatMap((size) => (size.trim() === '' ? [] : [Number(size)]))
  const count = shape.reduce((n, size) => n * size, 1)
  const bytes = Number(descriptor.slice(2)) * (descriptor[1] === 'U' ? 4 : 1)
  if (start + count * bytes !== file.length) throw new Error(`${count} elements of ${bytes} bytes do not fill the file`)
  const values = Array.from({ length: count }, (_, i) => {
    const at = start + i * bytes
    if (descriptor === '<f4') return view.getFloat32(at, true)
    if (descriptor === '<i4') return view.getInt32(at, true)
    if (descriptor[1] !== 'U') throw new Error(`dtype ${descriptor}`)
    const points = Array.from({ length: bytes / 4 }, (_, k) => view.getUint32(at + 4 * k, true))
    return String.fromCodePoint(...points).replace(/\0+$/, '')
  })
  return { descriptor, shape, values }
}

/** Reads a `.npz` file, whose arrays are stored, not deflated. */
export const readNpz = (file: Uint8Array): Map<string, ReadNpy> =>
  new Map([...readStoredZip(file)].map(([name, bytes]) => [name.replace(/\.npy$/, ''), readNpy(bytes)]))
