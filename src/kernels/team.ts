import type { Device } from '../gpu/index.ts'

/** How the invocations of a kernel share results: constants of the kernels that `#choose Team`. */
export interface Team {
  readonly constants: { readonly LANES: number; readonly SIZE: number; readonly Team: string }
  readonly grid: readonly [number, number, number]
}

/** Invocations that fill a large GPU: half of those that its processors hold (an H200 has 132, of 2,048 each). */
export const FILL = 131_072

/** Rows that are still short enough for one invocation, on adapters where joining costs more than reading them. */
const SHORT_ROW = 64

/**
 * The team that shares a row of `count` elements, and the grid for `rows` of them.
 *
 * A barrier costs a software adapter more than reading a hundred elements, and one workgroup as much as several rows:
 * there a team is one invocation or one subgroup, and 16 workgroups share all rows. Instance norm of 8,192 rows of
 * 1,024 elements takes half the time that teams of 64 take.
 */
export function teamFor(device: Device, rows: number, count: number): Team {
  const { software, subgroupSize } = device.info
  if (!software) {
    const lanes = count <= 4 ? 1 : count <= 512 ? 8 : count <= 8192 ? 64 : 256
    return team(lanes === 1 ? 'team_alone' : 'team_workgroup', lanes, Math.max(64, lanes), rows, 8192)
  }
  const few = rows < 16
  if (count <= SHORT_ROW && !few) return teamOfOne(rows)
  if (subgroupSize >= 4) return team('team_subgroup', subgroupSize, subgroupSize, rows, 16)
  return few ? team('team_workgroup', 64, 64, rows, 16) : teamOfOne(rows)
}

/** Teams of one on a software adapter, for `rows` that an invocation each walks. */
export const teamOfOne = (rows: number): Team => team('team_alone', 1, 8, rows, 16)

/** Teams of `lanes` invocations on a GPU, for `rows` that a kernel shares among more or fewer than `teamFor` does. */
export const teamOf = (lanes: number, rows: number): Team =>
  team('team_workgroup', lanes, Math.max(64, lanes), rows, 8192)

function team(kind: string, lanes: number, size: number, rows: number, most: number): Team {
  const workgroups = Math.min(Math.ceil((rows * lanes) / size), most)
  return { constants: { LANES: lanes, SIZE: size, Team: kind }, grid: [workgroups, 1, 1] }
}
