/**
 * A reader of Python's pickle format for what torch.save writes. A pickle is a program for a stack machine that builds
 * values and calls functions by name; here nothing but the host's own few functions can be called.
 */

/** What a pickle refers to outside of itself; each function throws for what it does not accept. */
export interface PickleHost {
  /** What the name `module.name` stands for. */
  global(module: string, name: string): unknown
  /** What `callee`, a global, makes of `args`. */
  call(callee: unknown, args: readonly unknown[]): unknown
  /** What a persistent id stands for: in a checkpoint, a storage. */
  persistent(id: unknown): unknown
  /** The error for a pickle that breaks a rule. */
  broken(what: string): Error
  /** Whether items may be added to or set in `value`, a value of the host's, to no effect. */
  isInert(value: unknown): boolean
}

/** A list or a set. Tuples are arrays. */
export class PickleList {
  readonly items: unknown[] = []
}

/** A dict, ordered as the pickle sets its keys. */
export class PickleDict {
  /** Made with the first item: most dicts of a checkpoint are empty. */
  entries: Map<unknown, unknown> | undefined

  get size(): number {
    return this.entries?.size ?? 0
  }
}

/** Bytes of a pickle that are read at most: room for 300 thousand tensors. */
export const MAX_PICKLE_BYTES = 2 ** 26

/** What bounds the memory and the time: an operation makes at most one value. A tensor takes about 45. */
const MAX_OPERATIONS = 2 ** 22

const MAX_NAME_BYTES = 1024

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

const MARK = Symbol('mark')
const ENDED = Symbol('ended')

/**
 * Runs the pickle that starts at `begin`.
 * @returns its value, and the byte after it; `undefined` if the bytes end before it does
 * @throws what the host throws
 */
export function readPickle(
  bytes: Uint8Array,
  begin: number,
  host: PickleHost,
): { value: unknown; end: number } | undefined {
  const machine = new Machine(bytes, begin, host)
  try {
    return { value: machine.run(), end: machine.at }
  } catch (error) {
    if (error === ENDED) return undefined
    throw error
  }
}

class Machine {
  readonly #view: DataView
  readonly #stack: unknown[] = []
  readonly #memo = new Map<number, unknown>()

  constructor(
    readonly bytes: Uint8Array,
    public at: number,
    readonly host: PickleHost,
  ) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  }

  run(): unknown {
    for (let operations = 0; operations < MAX_OPERATIONS; operations++) {
      const start = this.at
      const opcode = String.fromCharCode(this.#byte())
      if (opcode === '.') {
        const value = this.#pop()
        if (this.#stack.length > 0) throw this.#broken('leaves values behind')
        return value
      }
      if (!this.#step(opcode)) {
        const hex = opcode.charCodeAt(0).toString(16).padStart(2, '0')
        throw this.#broken(`has the operation 0x${hex} at byte ${start}, which torch.save does not write`)
      }
    }
    throw this.#broken(`has more than ${MAX_OPERATIONS} operations`)
  }

  /** False for an operation that is not known. */
  #step(opcode: string): boolean {
    const stack = this.#stack
    switch (opcode) {
      case '\x80': // PROTO
        if (this.#byte() > 5) throw this.#broken('has a protocol above 5')
        break
      case '\x95': // FRAME
        this.#take(8)
        break

      case 'N':
        stack.push(null)
        break
      case '\x88':
        stack.push(true)
        break
      case '\x89':
        stack.push(false)
        break
      case 'K': // BININT1
        stack.push(this.#byte())
        break
      case 'M': // BININT2
        stack.push(this.#view.getUint16(this.#take(2), true))
        break
      case 'J': // BININT
        stack.push(this.#view.getInt32(this.#take(4), true))
        break
      case '\x8a': // LONG1
        stack.push(this.#long(this.#byte()))
        break
      case '\x8b': // LONG4: more than 255 bytes, which is no size of anything
        stack.push(this.#copy(this.#uint32()))
        break
      case 'G': // BINFLOAT
        stack.push(this.#view.getFloat64(this.#take(8)))
        break

      case 'X': // BINUNICODE
      case 'T': // BINSTRING, of Python 2
        stack.push(this.#text(this.#uint32()))
        break
      case '\x8c': // SHORT_BINUNICODE
      case 'U': // SHORT_BINSTRING, of Python 2
        stack.push(this.#text(this.#byte()))
        break
      case 'B': // BINBYTES
        stack.push(this.#copy(this.#uint32()))
        break
      case 'C': // SHORT_BINBYTES
        stack.push(this.#copy(this.#byte()))
        break
      case '\x96': // BYTEARRAY8
        stack.push(this.#copy(this.#uint64()))
        break

      case '(':
        stack.push(MARK)
        break
      case ')':
        stack.push([])
        break
      case '\x85':
        stack.push([this.#pop()])
        break
      case '\x86':
        stack.push([this.#pop(), this.#pop()].reverse())
        break
      case '\x87':
        stack.push([this.#pop(), this.#pop(), this.#pop()].reverse())
        break
      case 't': // TUPLE
        stack.push(this.#popToMark())
        break

      case ']': // EMPTY_LIST
      case '\x8f': // EMPTY_SET
        stack.push(new PickleList())
        break
      case '\x91': // FROZENSET
        this.#frozenSet()
        break
      case 'a': // APPEND
        this.#append([this.#pop()])
        break
      case 'e': // APPENDS
      case '\x90': // ADDITEMS
        this.#append(this.#popToMark())
        break

      case '}':
        stack.push(new PickleDict())
        break
      case 's': // SETITEM
        this.#setItems([this.#pop(), this.#pop()].reverse())
        break
      case 'u': // SETITEMS
        this.#setItems(this.#popToMark())
        break

      case 'q': // BINPUT
        this.#put(this.#byte())
        break
      case 'r': // LONG_BINPUT
        this.#put(this.#uint32())
        break
      case '\x94': // MEMOIZE
        this.#put(this.#memo.size)
        break
      case '0': // POP
        this.#pop()
        break
      case '1': // POP_MARK, after a tuple that holds itself
        this.#popToMark()
        break
      case 'h': // BINGET
        stack.push(this.#get(this.#byte()))
        break
      case 'j': // LONG_BINGET
        stack.push(this.#get(this.#uint32()))
        break

      case 'c': // GLOBAL
        stack.push(this.host.global(this.#line(), this.#line()))
        break
      case '\x93': // STACK_GLOBAL
        this.#stackGlobal()
        break
      case 'R': // REDUCE
      case '\x81': // NEWOBJ
        this.#call()
        break
      case '\x92': // NEWOBJ_EX
        this.#dropNamedArguments()
        this.#call()
        break
      case 'b': // BUILD
        this.#build()
        break
      case 'Q': // BINPERSID
        stack.push(this.host.persistent(this.#pop()))
        break
      default:
        return false
    }
    return true
  }

  #call(): void {
    const args = this.#pop()
    const callee = this.#pop()
    if (!Array.isArray(args)) throw this.#broken('calls with arguments that are no tuple')
    this.#stack.push(this.host.call(callee, args))
  }

  /** The host's functions have none. */
  #dropNamedArguments(): void {
    this.#pop()
    if (!this.host.isInert(this.#stack.at(-2))) throw this.#broken('calls with arguments by name')
  }

  #frozenSet(): void {
    const items = this.#popToMark()
    this.#stack.push(new PickleList())
    this.#append(items)
  }

  #stackGlobal(): void {
    const name = this.#pop()
    const module = this.#pop()
    if (typeof module !== 'string' || typeof name !== 'string') throw this.#broken('has a name that is no text')
    this.#stack.push(this.host.global(module, name))
  }

  /** Attributes of a dict (PyTorch gives state dicts `_metadata`) and of inert values are dropped. */
  #build(): void {
    this.#pop()
    const target = this.#top()
    if (target instanceof PickleDict || this.host.isInert(target)) return
    throw this.#broken('sets the state of something that has none')
  }

  #append(items: readonly unknown[]): void {
    const target = this.#top()
    if (target instanceof PickleList) for (const item of items) target.items.push(item)
    else if (!this.host.isInert(target)) throw this.#broken('appends to something that is no list')
  }

  #setItems(items: readonly unknown[]): void {
    const target = this.#top()
    if (items.length % 2 === 1) throw this.#broken('has a key without a value')
    if (this.host.isInert(target)) return
    if (!(target instanceof PickleDict)) throw this.#broken('sets a key of something that is no dict')
    target.entries ??= new Map()
    for (let i = 0; i < items.length; i += 2) {
      const key = items[i]
      if (key instanceof PickleList || key instanceof PickleDict) throw this.#broken('has a list or a dict as a key')
      if (target.entries.has(key)) throw this.#broken('sets a key of a dict twice')
      target.entries.set(key, items[i + 1])
    }
  }

  #put(index: number): void {
    this.#memo.set(index, this.#top())
  }

  #get(index: number): unknown {
    if (!this.#memo.has(index)) throw this.#broken(`refers to value ${index}, which it has not made`)
    return this.#memo.get(index)
  }

  #top(): unknown {
    const top = this.#stack.at(-1)
    if (this.#stack.length === 0 || top === MARK) throw this.#broken('takes a value that is not there')
    return top
  }

  #pop(): unknown {
    const top = this.#top()
    this.#stack.pop()
    return top
  }

  #popToMark(): unknown[] {
    const mark = this.#stack.lastIndexOf(MARK)
    if (mark < 0) throw this.#broken('ends a group that it did not begin')
    const items = this.#stack.splice(mark)
    items.shift()
    return items
  }

  /** The place of the next `count` bytes, which are passed. */
  #take(count: number): number {
    const start = this.at
    if (count > this.bytes.length - start) throw ENDED
    this.at += count
    return start
  }

  #byte(): number {
    return this.bytes[this.#take(1)] as number
  }

  #uint32(): number {
    return this.#view.getUint32(this.#take(4), true)
  }

  #uint64(): number {
    return Number(this.#view.getBigUint64(this.#take(8), true))
  }

  #copy(count: number): Uint8Array {
    const start = this.#take(count)
    return this.bytes.slice(start, start + count)
  }

  #text(count: number): string {
    const start = this.#take(count)
    try {
      return UTF8.decode(this.bytes.subarray(start, this.at))
    } catch {
      throw this.#broken(`has text at byte ${start} that is not UTF-8`)
    }
  }

  #line(): string {
    const end = this.bytes.indexOf(0x0a, this.at)
    if ((end < 0 ? this.bytes.length : end) - this.at > MAX_NAME_BYTES) throw this.#broken('has a name without an end')
    if (end < 0) throw ENDED
    const text = this.#text(end - this.at)
    this.at = end + 1
    return text
  }

  /** A whole number of `count` bytes, two's complement, little-endian: a bigint where a number would not be exact. */
  #long(count: number): number | bigint {
    const start = this.#take(count)
    let value = 0n
    for (let i = count - 1; i >= 0; i--) value = (value << 8n) | BigInt(this.bytes[start + i] as number)
    const signed = BigInt.asIntN(8 * count, value)
    const exact = Number(signed)
    return Number.isSafeInteger(exact) ? exact : signed
  }

  #broken(what: string): Error {
    return this.host.broken(`its pickle ${what}`)
  }
}
