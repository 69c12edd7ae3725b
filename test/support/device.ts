import type { Device } from '../../src/gpu/index.ts'
import { openDevice } from '../../src/node/index.ts'

let device: Promise<Device> | undefined

/** The adapter of this test process (LD3M_ADAPTER chooses); a test without one fails. */
export const testDevice = (): Promise<Device> => (device ??= openDevice())
