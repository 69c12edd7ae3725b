import { dataError, Ld3mError } from '../errors.ts'
import type { Dtype, StoredTensor } from './dtypes.ts'
import { halfToNumber, toHalfBits } from './half.ts'

const NUMBERS: readonly Dtype[] = ['F32', 'F16', 'BF16', 'F64', 'U8', 'I8', 'U16', 'I16', 'U32', 'I32']

/** Whether `toFloat32` and `toFloat16` take tensors of that dtype. */
export const isNumeric = (dtype: Dtype): boolean => NUMBERS.includes(dtype)

/**
 * The elements of a stored tensor as f32. F32 data comes back as it is, without a copy; F16, BF16, F64 and the
 * integers of up to 32 bits are converted (F64 and 32-bit integers are rounded to the nearest f32).
 * @throws Ld3mError `data` for dtypes that do not stand for weights: BOOL, the 8-bit floats, 64-bit integers
 */
export function toFloat32(tensor: StoredTensor): Float32Array {
  switch (tensor.dtype) {
    case 'F32':
      return tensor.data
    case 'F16':
      return halfToFloat32(tensor.data)
    case 'BF16':
      return bfloat16ToFloat32(tensor.data)
    case 'F64':
    case 'U8':
    case 'I8':
    case 'U16':
    case 'I16':
    case 'U32':
    case 'I32':
      return new Float32Array(tensor.data)
    default:
      throw dataError(
        `A tensor of dtype ${tensor.dtype} and shape [${tensor.shape.join(', ')}] cannot be read as f32.`,
        'Convert it to F32, F16 or BF16 before saving the file.',
      )
  }
}

/**
 * The elements of a stored tensor as IEEE half-precision bits, rounded and limited as by `toHalfBits`. F16 data comes
 * back as it is, without a copy.
 * @throws Ld3mError `data` as `toFloat32` does; `numeric` for NaN and infinities
 */
export function toFloat16(tensor: StoredTensor): Uint16Array {
  if (tensor.dtype !== 'F16') return toHalfBits(toFloat32(tensor))
  const at = tensor.data.findIndex((bits) => (bits & 0x7c00) === 0x7c00)
  if (at < 0) return tensor.data
  const value = halfToNumber(tensor.data[at] as number)
  throw new Ld3mError('numeric', `Element ${at} is ${value}; f16 takes finite numbers.`, 'Look where it arose.')
}

/** The values of all half-precision numbers, made once they are needed. */
let halves: Float32Array | undefined

function halfToFloat32(bits: Uint16Array): Float32Array {
  halves ??= Float32Array.from({ length: 2 ** 16 }, (_, i) => halfToNumber(i))
  const out = new Float32Array(bits.length)
  for (let i = 0; i < bits.length; i++) out[i] = halves[bits[i] as number] as number
  return out
}

/** A bfloat16 is the upper half of an f32. */
function bfloat16ToFloat32(bits: Uint16Array): Float32Array {
  const words = new Uint32Array(bits.length)
  for (let i = 0; i < bits.length; i++) words[i] = bits[i]! << 16
  return new Float32Array(words.buffer)
}
