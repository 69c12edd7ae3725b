import type { TuningStore } from './tuning.ts'

const DATABASE = 'ld3m-gpu'
const TABLE = 'tuning'

/** Keeps tuning results in the browser, for this origin; undefined where there is no IndexedDB. */
export function indexedDbStore(): TuningStore | undefined {
  if (typeof indexedDB === 'undefined') return undefined
  const transact = async <T>(mode: IDBTransactionMode, act: (table: IDBObjectStore) => IDBRequest<T>): Promise<T> => {
    const opening = indexedDB.open(DATABASE, 1)
    opening.onupgradeneeded = () => {
      opening.result.createObjectStore(TABLE)
    }
    const database = await settled(opening)
    try {
      return await settled(act(database.transaction(TABLE, mode).objectStore(TABLE)))
    } finally {
      // Waits for its transactions.
      database.close()
    }
  }
  return {
    async load(key) {
      const text: unknown = await transact('readonly', (table) => table.get(key))
      return typeof text === 'string' ? text : undefined
    },
    async save(key, text) {
      await transact('readwrite', (table) => table.put(text, key))
    },
  }
}

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error ?? new Error('IndexedDB refused'))
  })
}
