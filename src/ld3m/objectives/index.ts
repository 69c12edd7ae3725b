export { type DcOptions, dc } from './dc.ts'
export type { DcLoops } from './dc-loops.ts'
export { type DmOptions, dm } from './dm.ts'
export type { Learned, Matched, Matcher, MatchingContext, Objective, RunContext } from './types.ts'
