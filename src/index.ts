/** The library's face: what programs may import from `hoptrace`. */

export { type Analysis, type AnalysisOptions, analyze } from './analysis.ts'
export { HoptraceError } from './errors.ts'
export { type HtmlReportOptions, htmlReport, type PageOptions } from './page/html-report.ts'
export type { JourneyReport } from './report/journey-lines.ts'
export type * from './report/model.ts'
