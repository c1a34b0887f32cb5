/**
 * The page's data: what an HTML report holds, and what `capture --web` sends. All text in it is `harmless` already, so
 * that the page can show it as it is.
 */

import type { Checksum } from '../decode/headers.ts'
import type { JourneyReport } from './journey-lines.ts'

/** The bytes of one frame, as far as the page has them. */
export interface PageFrame {
  /** Length on the wire. */
  lenBytes: number
  /** The first bytes: all headers, and some payload. */
  hex: string
  /** LINKTYPE_ value where it is another one than Ethernet's. */
  linkType?: number
  /** What came of the innermost transport checksum, which can't be verified without the payload that is cut off. */
  checksum?: Checksum
}

/** A line of `--journeys`, with the packet's number and the bytes of its frames. */
export interface PagePacket extends JourneyReport {
  /** In its flow, both directions counted, from 1; as `explain --packet` takes it. */
  number: number
  /** By sighting: the first few frames of each. Empty where they could not be read again. */
  bytes: PageFrame[][]
}

/** Packets of some flows, in one compressed piece of the page. A flow with very many has several pieces. */
export interface PageBlock {
  /** The first and last flow that have packets in it. */
  flows: [number, number]
  packets: number
}

export interface PageAbout {
  schema: 'hoptrace.page/1'
  /** What was read or captured, as the user named it. */
  title: string
  /** Of hoptrace. */
  version: string
  /** What the files say about the interfaces of points. */
  descriptions: Record<string, string>
  /** UDP destination ports that were said to carry tunnels. */
  tunnelPorts?: [number, string][]
  /** Flows that the report has and the page does not; not there where it has all. */
  flowsLeftOut?: number
  /** Packets of the page's flows that it does not have; not there where it has all. */
  packetsLeftOut?: number
  blocks: PageBlock[]
}

/** What a file says about the interface of a point. Points may be called `constructor`, as what every object has. */
export function descriptionOf(descriptions: PageAbout['descriptions'], point: string): string | null {
  return Object.hasOwn(descriptions, point) ? descriptions[point]! : null
}

/** Identifiers of the elements that hold compressed data, base64 of gzip of JSON; blocks count from 0. */
export const PageElement = {
  about: 'hoptrace-about',
  report: 'hoptrace-report',
  block: (index: number) => `hoptrace-packets-${index}`,
  /** Empty, and last of all. */
  end: 'hoptrace-end',
} as const
/** Type of these elements: no browser runs them. */
export const PAGE_DATA_TYPE = 'application/x-hoptrace'
/** Name of the `<meta>` that says that the data come live, and from where. */
export const PAGE_LIVE = 'hoptrace-live'
