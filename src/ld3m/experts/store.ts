/**
 * Where expert trajectories live: bytes by name, such as `manifest.json` or `expert-0003/epoch-01.safetensors`. A folder
 * in Node (`expertsFolder`), memory (`expertsInMemory`), or anything of a caller's own.
 */
export interface ExpertStore {
  /** The bytes of a name, or undefined if nothing was written under it. */
  read(name: string): Promise<Uint8Array | undefined>
  /** Replaces what is under a name as a whole: a reader, also after a crash, finds the old bytes or the new ones. */
  write(name: string, bytes: Uint8Array): Promise<void>
}

/** A store that lasts as long as the process. */
export function expertsInMemory(): ExpertStore {
  const files = new Map<string, Uint8Array>()
  return {
    read: async (name) => files.get(name),
    write: async (name, bytes) => void files.set(name, bytes.slice()),
  }
}
