import { dataError } from '../../errors.ts'
import { listed } from '../../words.ts'
import { DTYPES, type Dtype, elementCount, isSize, MAX_RANK } from '../dtypes.ts'
import { brokenFile } from '../source.ts'
import { PickleDict, type PickleHost, PickleList, readPickle } from './pickle.ts'

/** A storage that a pickle names: the elements are elsewhere in the file. */
export class TorchStorage {
  constructor(
    readonly key: string,
    /** `undefined` for one without a type, whose elements are bytes. */
    readonly dtype: Dtype | undefined,
    /** Elements. */
    readonly count: number,
  ) {}

  get bytes(): number {
    return this.count * (this.dtype ? DTYPES[this.dtype].BYTES_PER_ELEMENT : 1)
  }
}

/** A tensor as a pickle describes it: a view of a storage, within its bounds. Steps are in elements. */
export class TorchTensor {
  constructor(
    readonly storage: TorchStorage,
    readonly dtype: Dtype,
    readonly offset: number,
    readonly shape: readonly number[],
    /** Undefined where the view is dense and row-major. */
    readonly strides: readonly number[] | undefined,
  ) {}
}

/** What stands for a value that is not read: nothing happens when it is called or set. */
class Inert {}

/** A name with a meaning: it can be called, or stands for a storage's type or for a dtype. */
interface Meaning {
  readonly call?: (args: readonly unknown[], reader: TorchPickle) => unknown
  readonly storage?: { readonly dtype: Dtype | undefined }
  readonly dtype?: Dtype
}

class Global {
  constructor(
    readonly name: string,
    readonly meaning: Meaning,
  ) {}
}

const STORAGES: Readonly<Record<string, Dtype>> = {
  Float: 'F32',
  Half: 'F16',
  BFloat16: 'BF16',
  Double: 'F64',
  Long: 'I64',
  Int: 'I32',
  Short: 'I16',
  Char: 'I8',
  Byte: 'U8',
  Bool: 'BOOL',
}

const TORCH_DTYPES: Readonly<Record<string, Dtype>> = {
  float32: 'F32',
  float16: 'F16',
  bfloat16: 'BF16',
  float64: 'F64',
  int64: 'I64',
  int32: 'I32',
  int16: 'I16',
  int8: 'I8',
  uint64: 'U64',
  uint32: 'U32',
  uint16: 'U16',
  uint8: 'U8',
  bool: 'BOOL',
  float8_e5m2: 'F8_E5M2',
  float8_e4m3fn: 'F8_E4M3',
}

/** Views that repeat elements (`expand`) are read up to this size: a few bytes of file could ask for any. */
const MAX_REPEATED_BYTES = 2 ** 20

/** The names that rebuild tensors. */
const MEANINGS = new Map<string, Meaning>([
  ['torch._utils._rebuild_tensor', { call: (args, reader) => reader.tensor(args) }],
  ['torch._utils._rebuild_tensor_v2', { call: (args, reader) => reader.tensor(args) }],
  ['torch._utils._rebuild_tensor_v3', { call: (args, reader) => reader.typedTensor(args) }],
  ['torch._utils._rebuild_parameter', { call: ([data]) => data }],
  ['torch._utils._rebuild_parameter_with_state', { call: ([data]) => data }],
  ['torch._tensor._rebuild_from_type_v2', { call: (args, reader) => reader.fromType(args) }],
  ['torch.Tensor', {}],
  ['torch.nn.parameter.Parameter', {}],
  ['torch.Size', { call: ([sizes]) => sizes }],
  ['collections.OrderedDict', { call: (args, reader) => reader.dict(args) }],
  ...Object.entries(STORAGES).map(([type, dtype]) => [`torch.${type}Storage`, { storage: { dtype } }] as const),
  ...['torch', 'torch.storage'].map((m) => [`${m}.UntypedStorage`, { storage: { dtype: undefined } }] as const),
  ...Object.entries(TORCH_DTYPES).map(([type, dtype]) => [`torch.${type}`, { dtype }] as const),
])

/** Names that checkpoints hold beside their tensors and that stand for nothing here. */
const INERT_NAMES = [
  '_codecs.encode',
  // Up to protocol 2, which is the default, Python 3 writes the names of Python 2.
  ...['bytearray', 'complex', 'frozenset', 'set'].flatMap((name) => [`builtins.${name}`, `__builtin__.${name}`]),
  'numpy.dtype',
  'numpy.ndarray',
  ...['core', '_core'].flatMap((core) =>
    ['multiarray.scalar', 'multiarray._reconstruct', 'numeric._frombuffer'].map((name) => `numpy.${core}.${name}`),
  ),
  'torch.device',
  // A key of `callbacks` in checkpoints of latent diffusion.
  'pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint',
]

/** Names that an error message lists. */
const SHOWN_NAMES = 20

/** Gives a checkpoint's pickle the few names that rebuild tensors; nothing is run, every other name is an error. */
export class TorchPickle implements PickleHost {
  readonly storages = new Map<string, TorchStorage>()
  readonly #unknown = new Set<string>()
  readonly #inert: ReadonlySet<string>

  /**
   * @param file names the file in error messages
   * @param inert more names that stand for nothing
   */
  constructor(
    readonly file: string,
    inert: readonly string[],
  ) {
    this.#inert = new Set([...INERT_NAMES, ...inert])
  }

  global(module: string, name: string): unknown {
    const full = `${module}.${name}`
    const meaning = MEANINGS.get(full)
    if (meaning) return new Global(full, meaning)
    if (!this.#inert.has(full)) this.#unknown.add(full)
    return new Inert()
  }

  /** `readPickle`; all names that are no part of a tensor are one error, also where the pickle fails for want of them. */
  read(bytes: Uint8Array, begin: number): ReturnType<typeof readPickle> {
    let pickle: ReturnType<typeof readPickle>
    try {
      pickle = readPickle(bytes, begin, this)
    } catch (error) {
      throw this.#unknownNames() ?? error
    }
    const unknown = pickle && this.#unknownNames()
    if (unknown) throw unknown
    return pickle
  }

  call(callee: unknown, args: readonly unknown[]): unknown {
    if (callee instanceof Inert) return new Inert()
    if (callee instanceof Global && callee.meaning.call) return callee.meaning.call(args, this)
    throw this.broken('its pickle calls what is no function')
  }

  isInert(value: unknown): boolean {
    return value instanceof Inert
  }

  broken(what: string): Error {
    return brokenFile(this.file, what)
  }

  /**
   * ('storage', its type, key, device, number of elements), and for the legacy format what it is a view of; there also
   * ('module', a class, its file, its source).
   */
  persistent(id: unknown): unknown {
    const [kind, type, key, , count, view] = Array.isArray(id) ? id : []
    if (kind === 'module' && type instanceof Inert) return type
    const storageType = type instanceof Global ? type.meaning.storage : undefined
    if (kind !== 'storage' || !storageType || typeof key !== 'string' || !isSize(count)) {
      throw this.broken('its pickle describes a storage in an unknown way')
    }
    if (view !== undefined && view !== null) {
      throw this.#unsupported('it has storages that are views of others, as PyTorch wrote before 0.4')
    }
    const { dtype } = storageType
    const known = this.storages.get(key)
    if (known && (known.dtype !== dtype || known.count !== count)) {
      throw this.broken(`its pickle describes the storage ${JSON.stringify(key)} twice, differently`)
    }
    const storage = known ?? new TorchStorage(key, dtype, count)
    this.storages.set(key, storage)
    return storage
  }

  /** (storage, offset, shape, strides, requires_grad, hooks, metadata) */
  tensor([storage, offset, shape, strides, , , metadata]: readonly unknown[]): TorchTensor {
    const dtype = storage instanceof TorchStorage ? storage.dtype : undefined
    if (!dtype) throw this.broken('its pickle builds a tensor on a storage without a type')
    return this.#view(storage, dtype, offset, shape, strides, metadata)
  }

  /** (storage, offset, shape, strides, requires_grad, hooks, dtype, metadata) */
  typedTensor([storage, offset, shape, strides, , , type, metadata]: readonly unknown[]): TorchTensor {
    const dtype = type instanceof Global ? type.meaning.dtype : undefined
    if (!dtype) throw this.broken('its pickle builds a tensor of an unknown dtype')
    return this.#view(storage, dtype, offset, shape, strides, metadata)
  }

  /** (function, type, arguments, state): a tensor that has attributes, which are dropped. */
  fromType([rebuild, type, args]: readonly unknown[]): unknown {
    if (!(type instanceof Global) || !Array.isArray(args))
      throw this.broken('its pickle builds a tensor of an unknown type')
    return this.call(rebuild, args)
  }

  /** An OrderedDict, empty; or, as Python 2 writes it, of a list of pairs. */
  dict([pairs]: readonly unknown[]): PickleDict {
    const dict = new PickleDict()
    if (pairs === undefined) return dict
    dict.entries = new Map()
    for (const pair of pairs instanceof PickleList ? pairs.items : [undefined]) {
      const [key, value, ...rest] = pair instanceof PickleList ? pair.items : []
      if (typeof key !== 'string' || value === undefined || rest.length > 0 || dict.entries.has(key)) {
        throw this.broken('its pickle makes an OrderedDict of what are no pairs of names and values')
      }
      dict.entries.set(key, value)
    }
    return dict
  }

  #unknownNames(): Error | undefined {
    const names = Array.from(this.#unknown, (name) => JSON.stringify(name))
    if (names.length === 0) return undefined
    return dataError(
      `Cannot read ${this.file}: its pickle refers to ${listed(names, SHOWN_NAMES)}, which ${names.length === 1 ? 'is' : 'are'} no part of a tensor. Nothing of it was run.`,
      "Save the tensors alone, torch.save(model.state_dict(), …); or pass the names in 'inert' (--inert), if what they stand for can be left out.",
    )
  }

  #unsupported(what: string): Error {
    return dataError(
      `Cannot read ${this.file}: ${what}.`,
      'Load it with PyTorch and save it again, each tensor as tensor.clone().contiguous().',
    )
  }

  #view(
    storage: unknown,
    dtype: Dtype,
    offset: unknown,
    shape: unknown,
    strides: unknown,
    metadata: unknown,
  ): TorchTensor {
    if (!(storage instanceof TorchStorage)) throw this.broken('its pickle builds a tensor on what is no storage')
    const { key, bytes } = storage
    const sizes = (value: unknown): value is number[] => Array.isArray(value) && value.every(isSize)
    if (
      !isSize(offset) ||
      !sizes(shape) ||
      !sizes(strides) ||
      shape.length !== strides.length ||
      shape.length > MAX_RANK
    ) {
      throw this.broken('its pickle builds a tensor whose offset, shape and strides are no sizes')
    }
    if (metadata instanceof PickleDict && metadata.size > 0) {
      throw this.#unsupported('it has a tensor that is to be conjugated or negated')
    }
    const count = elementCount(shape)
    const each = DTYPES[dtype].BYTES_PER_ELEMENT
    const reach = shape.reduce((sum, size, i) => sum + (size - 1) * (strides[i] as number), 1)
    if (count === undefined || (count > 0 && !((offset + reach) * each <= bytes))) {
      throw this.broken(
        `it has a tensor of shape [${shape.join(', ')}] that reaches beyond the ${bytes} bytes of storage ${JSON.stringify(key)}`,
      )
    }
    if (count * each > MAX_REPEATED_BYTES && repeats(shape, strides)) {
      throw this.#unsupported(
        `it has a tensor of shape [${shape.join(', ')}] that repeats elements of a storage to more than ${MAX_REPEATED_BYTES} bytes`,
      )
    }
    return new TorchTensor(storage, dtype, offset, shape, isDense(shape, strides) ? undefined : strides)
  }
}

/** Whether two indices may lead to the same element: dimensions ordered by stride do not nest. */
function repeats(shape: readonly number[], strides: readonly number[]): boolean {
  const axes = shape.map((size, i) => ({ size, stride: strides[i] as number })).filter(({ size }) => size > 1)
  let reach = 1
  for (const { size, stride } of axes.sort((a, b) => a.stride - b.stride)) {
    if (stride < reach) return true
    reach += (size - 1) * stride
  }
  return false
}

function isDense(shape: readonly number[], strides: readonly number[]): boolean {
  let stride = 1
  for (let i = shape.length - 1; i >= 0; i--) {
    if (shape[i] !== 1 && strides[i] !== stride) return false
    stride *= shape[i] as number
  }
  return true
}
