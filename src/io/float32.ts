import { dataError } from '../errors.ts'
import type { StoredTensor } from './dtypes.ts'
import { halfToNumber } from './half.ts'

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
      return Float32Array.from(tensor.data, halfToNumber)
    case 'BF16':
      return bfloat16ToFloat32(tensor.data)
    case 'F64':
    case 'U8':
    case 'I8':
    case 'U16':
    case 'I16':
    case 'U32':
    case 'I32':
      return Float32Array.from(tensor.data)
    default:
      throw dataError(
        `A tensor of dtype ${tensor.dtype} and shape [${tensor.shape.join(', ')}] cannot be read as f32.`,
        'Convert it to F32, F16 or BF16 before saving the file.',
      )
  }
}

/** A bfloat16 is the upper half of an f32. */
function bfloat16ToFloat32(bits: Uint16Array): Float32Array {
  const words = new Uint32Array(bits.length)
  for (let i = 0; i < bits.length; i++) words[i] = bits[i]! << 16
  return new Float32Array(words.buffer)
}
