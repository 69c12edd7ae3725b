import { PickleDict, PickleList } from './pickle.ts'
import { type TorchPickle, TorchTensor } from './torch.ts'

/** How deep dicts and lists with tensors in them may nest. */
const MAX_DEPTH = 16

/** Values that are looked at. A pickle can refer to one list many times over. */
const MAX_VALUES = 2 ** 22

const MAX_NAME_LENGTH = 4096

export interface NamedTensors {
  readonly tensors: ReadonlyMap<string, TorchTensor>
  /** Names of what is no tensor and has none in it. */
  readonly others: readonly string[]
}

/**
 * The tensors of what a pickle holds, by dotted names: `{ model: { weight } }` gives `model.weight`, a list gives `0`.
 * Of a dict with a dict `state_dict` (Lightning's) only that is taken, and the other keys are among `others`.
 */
export function nameTensors(root: unknown, pickle: TorchPickle): NamedTensors {
  const states = root instanceof PickleDict ? root.entries?.get('state_dict') : undefined
  const others: string[] = []
  if (root instanceof PickleDict && states instanceof PickleDict) {
    for (const key of root.entries?.keys() ?? []) if (key !== 'state_dict') others.push(keyName(key))
  }
  const walk = new Walk(pickle)
  walk.collect(states instanceof PickleDict ? states : root, '', 0)
  return { tensors: walk.tensors, others: [...walk.others, ...others] }
}

class Walk {
  readonly tensors = new Map<string, TorchTensor>()
  others: string[] = []
  #values = 0

  constructor(readonly pickle: TorchPickle) {}

  /** Takes the tensors in `value`; false if there are none. The root's other items are listed in any case. */
  collect(value: unknown, name: string, depth: number): boolean {
    if (++this.#values > MAX_VALUES) throw this.pickle.broken('its pickle has too many values')
    if (value instanceof TorchTensor) {
      this.#add(name, value)
      return true
    }
    const items = itemsOf(value)
    if (!items) return false
    if (depth >= MAX_DEPTH) throw this.pickle.broken(`its pickle nests values deeper than ${MAX_DEPTH}`)
    const plain: string[] = []
    let found = false
    for (const [key, item] of items) {
      const itemName = depth === 0 ? keyName(key) : `${name}.${keyName(key)}`
      if (itemName.length > MAX_NAME_LENGTH) throw this.pickle.broken('its pickle has a name without an end')
      if (this.collect(item, itemName, depth + 1)) found = true
      else plain.push(itemName)
    }
    if (found || depth === 0) for (const itemName of plain) this.others.push(itemName)
    return found
  }

  #add(name: string, tensor: TorchTensor): void {
    if (this.tensors.has(name)) throw this.pickle.broken(`it has two tensors of the name ${JSON.stringify(name)}`)
    this.tensors.set(name, tensor)
  }
}

function itemsOf(value: unknown): Iterable<readonly [unknown, unknown]> | undefined {
  if (value instanceof PickleDict) return value.entries ?? []
  if (value instanceof PickleList) return value.items.entries()
  return Array.isArray(value) ? value.entries() : undefined
}

const keyName = (key: unknown): string =>
  typeof key === 'string' || typeof key === 'number' || typeof key === 'bigint' ? String(key) : `(${typeof key})`
