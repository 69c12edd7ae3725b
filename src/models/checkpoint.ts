import { keep, type Tensor, zeros } from '../autograd/index.ts'
import { dataError } from '../errors.ts'
import type { Device } from '../gpu/index.ts'
import { type Checkpoint, isNumeric, type StoredTensor, toFloat16, toFloat32 } from '../io/index.ts'
import { checkStateDict, type Module, type StateDict } from './module.ts'
import { disposeState, type LoadOptions, loadOptions } from './state.ts'

/** Bytes that wait for the device at most: what is uploaded stays in memory until then. */
const WAITING_BYTES = 64 << 20

/**
 * Parameters for `module` from a file, each a leaf that gradients can be taken with respect to (unless in f16). The file
 * is read in pieces of 16 MiB, each converted and uploaded, so that memory on the host does not grow with the file.
 * @throws Ld3mError `shape`, naming every missing, unexpected and misshapen tensor, before anything is read; `data` if
 * the file is damaged or holds a parameter as booleans or 64-bit integers; `adapter` for f16 where the adapter has none;
 * `numeric` for f16 of a weight that is NaN or infinite
 */
export async function loadCheckpoint(
  device: Device,
  module: Pick<Module, 'parameters'>,
  checkpoint: Pick<Checkpoint, 'tensors' | 'pieces'>,
  options: LoadOptions = {},
): Promise<StateDict> {
  const { prefix, dtype } = loadOptions('loadCheckpoint', options)
  const given = new Map(
    [...checkpoint.tensors].flatMap(([name, info]) =>
      name.startsWith(prefix) ? [[name.slice(prefix.length), info]] : [],
    ),
  )
  checkStateDict('loadCheckpoint', module, Object.fromEntries(given))
  for (const [name, info] of given) {
    if (!isNumeric(info.dtype)) {
      throw dataError(`loadCheckpoint: ${prefix}${name} is ${info.dtype}.`, 'Save parameters as 32- or 16-bit floats.')
    }
  }
  const state: Record<string, Tensor> = {}
  const upload = uploader(device)
  try {
    for (const [name, { shape, half = false }] of Object.entries(module.parameters)) {
      const frozen = keep(zeros(device, shape, dtype === 'f16' && half ? 'f16' : 'f32'))
      state[name] = frozen
      await upload(frozen, checkpoint.pieces(prefix + name))
      if (dtype === 'f16') continue
      state[name] = keep(frozen.leaf())
      frozen.dispose()
    }
    return state
  } catch (error) {
    disposeState(state)
    throw error
  }
}

/** Fills tensors with pieces that follow each other, and waits for the device now and then. */
function uploader(device: Device): (target: Tensor, pieces: AsyncIterable<StoredTensor>) => Promise<void> {
  let waiting = 0
  return async (target, pieces) => {
    let at = 0
    for await (const piece of pieces) {
      const elements = target.dtype === 'f16' ? toFloat16(piece) : toFloat32(piece)
      device.upload(target.buffer, elements, at)
      at += elements.byteLength
      waiting += elements.byteLength
      if (waiting < WAITING_BYTES) continue
      await device.synchronize()
      waiting = 0
    }
  }
}
