export type { ReportData } from './data.ts'
export { accuracyParts } from './format.ts'
export { renderReport } from './render.ts'
