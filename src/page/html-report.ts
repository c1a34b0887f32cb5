/** The HTML report: one page with the report, the packets of its flows, and the bytes of their frames. */

import { type AnalysisOptions, analyzeInputs } from '../analysis.ts'
import { type CaptureInput, resolveInputs } from '../capture/inputs.ts'
import { KeptPipes } from '../capture/kept-pipes.ts'
import type { UdpTunnel } from '../decode/udp-tunnels.ts'
import { harmless, harmlessCopy } from '../report/harmless.ts'
import type { JourneyReport } from '../report/journey-lines.ts'
import type { FlowReport, StreamedReport } from '../report/model.ts'
import { type PageAbout, PageElement } from '../report/page-data.ts'
import { VERSION } from '../version.ts'
import { pageAssets } from './assets.ts'
import { PageFlows } from './flows.ts'
import { PAYLOAD_BYTES } from './frames.ts'
import { pageElement, pageHead, pageTail } from './markup.ts'
import { PagePackets } from './packets.ts'

/** Packets of all flows together that a page gets where nothing else is said. */
export const PAGE_PACKETS = 100_000
/** Flows that it gets. */
const MAX_FLOWS = 20_000
/** Pieces of JSON are compressed from about this length on. */
const PIECE_CHARS = 65_536

export interface PageOptions {
  /** What the page is called; the inputs, where nothing else is said. */
  title?: string | undefined
  /** Packets of all flows together that the page gets, the same number of each large flow: 100,000 else. */
  maxPackets?: number | undefined
  /** Bytes of payload that are kept of each frame, 0 for headers alone, without names that DNS was asked for: 64 else. */
  payloadBytes?: number | undefined
}

export interface HtmlReportOptions
  extends PageOptions,
    Pick<AnalysisOptions, 'path' | 'tunnelPorts' | 'interfaceNames' | 'keepClocks' | 'onProgress'> {}

/**
 * Reads captures as `analyze` does, and makes one self-contained HTML page of them, in pieces of text. Rejects with a
 * `HoptraceError` where none of the inputs can be read, or an option does not fit them. The same input and options make the
 * same page.
 */
export async function* htmlReport(
  args: readonly string[],
  options: HtmlReportOptions = {},
): AsyncGenerator<string> {
  const pipes = new KeptPipes()
  try {
    const resolved = await resolveInputs(args)
    const inputs = await pipes.keep(resolved.inputs)
    const analysis = await analyzeInputs({ ...resolved, inputs }, { ...options, journeys: true })
    const { streamed, failures } = analysis
    const page = new ReportPage(streamed, { ...options, title: options.title ?? args.join(' '), failures })
    for (const journey of analysis.journeys()) page.take(journey)
    yield* page.pieces(inputs)
  } finally {
    pipes.remove()
  }
}

export interface ReportPageOptions extends PageOptions, Pick<AnalysisOptions, 'tunnelPorts'> {
  /** Inputs that could not be read, a line each: whoever looks at the page has to know. */
  failures?: readonly string[] | undefined
}

/** What a page shows of how much there is. */
export interface PageCounts {
  flows: number
  allFlows: number
  packets: number
  /** Of the flows that it shows. */
  allPackets: number
}

/** The page of a report: first it is given all packets, then it is made. */
export class ReportPage {
  readonly #report: StreamedReport
  readonly #flows: PageFlows
  readonly #packets: PagePackets
  readonly #title: string
  readonly #hasContents: boolean
  readonly #tunnelPorts: ReadonlyMap<number, UdpTunnel> | undefined

  constructor(
    report: StreamedReport,
    { title = '', maxPackets, payloadBytes, tunnelPorts, failures = [] }: ReportPageOptions,
  ) {
    this.#report = { ...report, warnings: [...failures, ...report.warnings] }
    this.#flows = new PageFlows(report, MAX_FLOWS)
    this.#packets = new PagePackets(report, this.#flows, {
      maxPackets: maxPackets ?? PAGE_PACKETS,
      payloadBytes: payloadBytes ?? PAYLOAD_BYTES,
      tunnelPorts,
    })
    this.#title = title
    this.#hasContents = payloadBytes !== 0
    this.#tunnelPorts = tunnelPorts
  }

  take(journey: JourneyReport): void {
    this.#packets.take(journey)
  }

  get counts(): PageCounts {
    return {
      flows: this.#flows.length,
      allFlows: this.#report.flows.length,
      packets: this.#packets.count,
      allPackets: this.#packets.total,
    }
  }

  /** In how many pieces it is made. */
  get pieceCount(): number {
    return this.#packets.blockCount + 5
  }

  /** The page. `inputs` are those of the analysis; they are read once more. */
  async *pieces(inputs: readonly CaptureInput[]): AsyncGenerator<string> {
    const descriptions = await this.#packets.read(inputs)
    const blocks = this.#packets.blocks()
    yield pageHead(pageAssets(), harmless(this.#title))
    yield await pageElement(PageElement.about, [JSON.stringify(this.#about(descriptions, blocks))])
    yield await pageElement(PageElement.report, gathered(reportJson(this.#report, this.#shownFlows())))
    // One is compressed while the next is put together.
    let made = Promise.resolve('')
    for (const [i, block] of blocks.entries()) {
      const next = pageElement(PageElement.block(i), [JSON.stringify(block.read())])
      yield await made
      made = next
    }
    yield await made
    yield pageTail()
  }

  /** Names that DNS was asked for are contents of packets. */
  *#shownFlows(): Generator<FlowReport> {
    for (const flow of this.#flows) yield this.#hasContents ? flow : { ...flow, dnsNames: [] }
  }

  #about(descriptions: ReadonlyMap<string, string>, blocks: PageAbout['blocks']): PageAbout {
    const { flows, allFlows, packets, allPackets } = this.counts
    return harmlessCopy({
      schema: 'hoptrace.page/1',
      title: this.#title,
      version: VERSION,
      descriptions: Object.fromEntries(descriptions),
      ...(this.#tunnelPorts ? { tunnelPorts: [...this.#tunnelPorts] } : {}),
      ...(allFlows > flows ? { flowsLeftOut: allFlows - flows } : {}),
      ...(allPackets > packets ? { packetsLeftOut: allPackets - packets } : {}),
      blocks: blocks.map(({ flows, packets }) => ({ flows, packets })),
    })
  }
}

/** The report as JSON with these flows, one at a time; all text in it is harmless. */
function* reportJson(report: StreamedReport, flows: Iterable<FlowReport>): Generator<string> {
  const { flows: _, ...others } = report
  yield `${JSON.stringify(harmlessCopy(others)).slice(0, -1)},"flows":[`
  let before = ''
  for (const flow of flows) {
    yield `${before}${JSON.stringify(harmlessCopy(flow))}`
    before = ','
  }
  yield ']}'
}

function* gathered(pieces: Iterable<string>): Generator<string> {
  let gathered = ''
  for (const piece of pieces) {
    gathered += piece
    if (gathered.length < PIECE_CHARS) continue
    yield gathered
    gathered = ''
  }
  yield gathered
}
