/** `capture --html`: the page about what was captured, made of the file that was written, or of one kept until then. */

import { analyzeInputs } from '../analysis.ts'
import { displayText } from '../capture/display-text.ts'
import type { UdpTunnel } from '../decode/udp-tunnels.ts'
import { HoptraceError } from '../errors.ts'
import { ReportPage } from '../page/html-report.ts'
import { selectForPage } from '../page/selection.ts'
import { type FlowFilter, filterBy } from '../report/filter.ts'
import type { StreamedReport } from '../report/model.ts'
import { STDOUT_NAMES } from './expectation-options.ts'
import { complain, type Output, outputFile } from './output.ts'
import { writePage } from './page-file.ts'

interface PageFlags {
  html?: string
  write?: string
  join: boolean
  rotate?: object
}

/** Throws a `HoptraceError` where `--html` contradicts other options. */
export function checkPageFlags({ html, write, join, rotate }: PageFlags): void {
  if (html === undefined) return
  if (STDOUT_NAMES.includes(html)) throw new HoptraceError('--html wants a file: stdout has the packets')
  if (html === write)
    throw new HoptraceError(`${displayText(html, 400)} is to be written twice: give --html its own file`)
  if (!join || rotate)
    throw new HoptraceError(
      '--html is about one file that was joined: leave out --rotate and --no-join, and use hoptrace report later',
    )
}

export class CapturedPage {
  readonly #path: string
  readonly #file: Output

  /** Opens the file, so that what cannot be written is told before the capture. Rejects with a `HoptraceError`. */
  static async open(path: string): Promise<CapturedPage> {
    return new CapturedPage(path, await outputFile(path, '--html'))
  }

  private constructor(path: string, file: Output) {
    this.#path = path
    this.#file = file
  }

  /** Reads the capture at `path` and writes the page; where that fails, it says so, and the exit code is 2. */
  async write(
    path: string,
    about: {
      title: string
      /** The report about the capture as it ran, for what came of expectations. */
      judged: StreamedReport
      write?: string
      filter?: FlowFilter['expression']
      decodeAs?: ReadonlyMap<number, UdpTunnel>
      keepClocks?: boolean
    },
  ): Promise<void> {
    const { title, judged, filter, decodeAs, keepClocks } = about
    const source = about.write === undefined ? 'live' : displayText(about.write, 400)
    const inputs = [{ path, source, name: null }]
    try {
      const analysis = await analyzeInputs(
        { inputs, warnings: [], failures: [] },
        { journeys: true, tunnelPorts: decodeAs, ...(keepClocks ? { keepClocks } : {}) },
      )
      const selected = selectForPage(analysis.streamed, filterBy(filter))
      const { expectations } = judged
      const page = new ReportPage(expectations ? { ...selected, expectations } : selected, {
        title,
        tunnelPorts: decodeAs,
      })
      for (const journey of analysis.journeys()) page.take(journey)
      complain(`${this.#path}: ${await writePage(page, inputs, this.#file)}`)
    } catch (error) {
      if (!(error instanceof HoptraceError)) throw error
      complain(error.message)
      process.exitCode = 2
    }
  }
}
