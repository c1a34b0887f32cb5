/** The HTML report: one page with the report, the packets of its flows, and the bytes of their frames. */

import type { Analysis } from './analysis.ts'
import type { UdpTunnel } from './decode/udp-tunnels.ts'
import { pageAssets } from './page-assets.ts'
import { choosePagePackets, type NumberedJourney, PAYLOAD_BYTES, pageFrameOf } from './page-packets.ts'
import { harmless, harmlessCopy } from './report/harmless.ts'
import { renderJson } from './report/json.ts'
import { type StreamedReport, withArray } from './report/model.ts'
import { aboutElement, blockElement, pageElement, pageHead, pageTail } from './report/page.ts'
import { type PageAbout, PageElement, type PagePacket } from './report/page-data.ts'
import { WantedFrames } from './wanted-frames.ts'

/** Packets of all flows together that a page gets where nothing else is said. */
export const PAGE_PACKETS = 100_000
/** Flows that it gets. */
const MAX_FLOWS = 20_000
/** A piece is unpacked when one of its flows is looked at: this many packets take some ms. */
const BLOCK_PACKETS = 2000

export interface HtmlReportOptions {
  /** Inputs of the analysis: their files are read once more. */
  inputs: readonly string[]
  version: string
  maxPackets?: number | undefined
  /** Bytes of payload that are kept of each frame. */
  payloadBytes?: number | undefined
  tunnelPorts?: ReadonlyMap<number, UdpTunnel> | undefined
}

/** Makes the page in pieces. `analysis` was asked for journeys, and they were not gone through yet. */
export async function* htmlReport(
  analysis: Pick<Analysis, 'journeys'>,
  selected: StreamedReport,
  { inputs, version, maxPackets, payloadBytes, tunnelPorts }: HtmlReportOptions,
): AsyncGenerator<string> {
  const { flows } = withArray(selected)
  const report = { ...selected, flows: flows.slice(0, MAX_FLOWS) }
  const chosen = choosePagePackets(analysis.journeys(), report.flows, maxPackets ?? PAGE_PACKETS)
  const wanted = new WantedFrames(selected, (record, headers) =>
    pageFrameOf(record, headers, payloadBytes ?? PAYLOAD_BYTES),
  )
  for (const packets of chosen.values()) for (const { sightings } of packets) wanted.addSightings(sightings)
  const descriptions = await wanted.read(inputs, tunnelPorts)
  const assets = pageAssets()
  const title = inputs.join(' ')
  yield pageHead(assets, harmless(title))
  const blocks = blocksOf(chosen)
  const about: PageAbout = {
    schema: 'hoptrace.page/1',
    title,
    version,
    descriptions: Object.fromEntries(descriptions),
    ...(tunnelPorts ? { tunnelPorts: [...tunnelPorts] } : {}),
    ...(flows.length > report.flows.length ? { flowsLeftOut: flows.length - report.flows.length } : {}),
    blocks: blocks.map((packets) => ({
      flows: [packets[0]!.flow, packets.at(-1)!.flow],
      packets: packets.length,
    })),
  }
  yield aboutElement(harmlessCopy(about))
  yield pageElement(PageElement.report, renderJson(harmlessCopy(report)))
  for (const [i, packets] of blocks.entries())
    yield blockElement(
      i,
      packets.map(
        (packet): PagePacket => ({ ...harmlessCopy(packet), bytes: wanted.framesOf(packet).frames }),
      ),
    )
  yield pageTail(assets)
}

function blocksOf(chosen: ReadonlyMap<number, NumberedJourney[]>): NumberedJourney[][] {
  const blocks: NumberedJourney[][] = []
  let block: NumberedJourney[] = []
  for (const packets of chosen.values())
    for (const packet of packets) {
      block.push(packet)
      if (block.length < BLOCK_PACKETS) continue
      blocks.push(block)
      block = []
    }
  if (block.length > 0) blocks.push(block)
  return blocks
}
