import type { Device, MemoryPlan } from '../gpu/index.ts'
import { expectDevice } from './arguments.ts'
import { pinnedOn } from './pinned.ts'
import { scope } from './scope.ts'

/**
 * The memory that `body` would need on a device, in milliseconds and without the GPU: `body`, which is synchronous
 * (forward passes, gradients, updates), runs with its buffers counted and its kernels left out. The figures are exactly
 * those that running it next would give in `device.memory`.
 *
 * The device and the elements of all tensors stay as they are, and the tensors that `body` makes are disposed. Left
 * changed are only what `body` changes outside: variables, an optimizer's count of steps, a generator's state, tensors
 * and graphs from outside that it frees. So let it make its own graph.
 * @throws Ld3mError `memory` if a buffer is larger than the adapter can bind; `graph` if `body` reads back or waits
 */
export function planMemory(device: Device, body: () => unknown): MemoryPlan {
  expectDevice('planMemory', device)
  // What is computed within the plan has no elements after it.
  for (const { buffer } of pinnedOn(device).pending) void buffer
  let plan: MemoryPlan | undefined
  device.rehearse((rehearsal) =>
    scope(() => {
      const result = body()
      plan = rehearsal.plan()
      // Refused by scope.
      return result instanceof Promise ? result : undefined
    }),
  )
  return plan as MemoryPlan
}
