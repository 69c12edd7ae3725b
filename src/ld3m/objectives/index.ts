export { type DcOptions, dc } from './dc.ts'
export { dm } from './dm.ts'
export type { Matched, MatchingContext, Objective } from './types.ts'
