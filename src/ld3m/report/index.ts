export type { ReportAccuracy, ReportData, ReportImageArray } from './data.ts'
export { renderReport } from './render.ts'
