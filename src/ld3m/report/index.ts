export type { ReportData } from './data.ts'
export { renderReport } from './render.ts'
