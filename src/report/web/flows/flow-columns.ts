/** Columns of the flows table: what each sorts by, how wide it is, and which of them fit. Nothing here draws. */

import { renderEndpoint } from '../../endpoint.ts'
import { addressGroups } from '../../ip-address.ts'
import type { Endpoint, FindingReport, FlowReport } from '../../model.ts'
import { isNumeral } from '../../quantities.ts'
import { lostPackets, resentPackets } from '../flow-counts.ts'
import { nsBetween } from '../times.ts'

export const COLUMN_KEYS = [
  'id',
  'protocol',
  'client',
  'server',
  'nat',
  'forward',
  'reverse',
  'bytes',
  'state',
  'lost',
  'resent',
  'rtt',
  'begin',
  'duration',
  'findings',
] as const
export type ColumnKey = (typeof COLUMN_KEYS)[number]

/** What rows are compared by: all of one column are of one type; null stands last in both orders. */
export type SortValue = number | string | null

export interface FlowColumn {
  title: string
  /** For whoever hears the title only. */
  spoken?: string
  isNumber?: true
  /** Numbers are mostly asked for their largest. */
  startsDescending?: true
  /** Of columns with addresses: beside these. */
  widthRem: number
  /** Takes a share of the room that is left over. */
  grows?: true
  /** Where this is 0 or null for all flows, the column is left out. */
  isOptional?: true
  /** The smaller, the longer it stays when there is little room. */
  rank: number
  sortValue(flow: FlowReport, context: FlowContext): SortValue
}

/** What cells need beside the flow. */
export interface FlowContext {
  names: Readonly<Record<string, string>>
  /** By flow. */
  findings: ReadonlyMap<number, FlowFindings>
  /** The first packet of all, ns since 1970. */
  beginNs: bigint
}

export interface FlowFindings {
  error: number
  warning: number
  info: number
}

export const COLUMNS: Readonly<Record<ColumnKey, FlowColumn>> = {
  id: { title: '#', spoken: 'Flow', isNumber: true, widthRem: 2.9, rank: 0, sortValue: ({ id }) => id },
  protocol: {
    title: 'Proto',
    spoken: 'Protocol',
    widthRem: 3.6,
    rank: 1,
    sortValue: (flow) => flow.protocol,
  },
  client: { title: 'Client', widthRem: 0.9, grows: true, rank: 0, sortValue: ({ client }) => endKey(client) },
  server: { title: 'Server', widthRem: 0.9, grows: true, rank: 0, sortValue: ({ server }) => endKey(server) },
  nat: {
    title: 'Translation',
    isOptional: true,
    widthRem: 4.4,
    grows: true,
    rank: 3,
    sortValue: ({ translations: [first] }) => (first ? `${first.kind} ${endKey(first.to)}` : null),
  },
  forward: {
    title: 'Packets →',
    spoken: 'Packets to the server',
    isNumber: true,
    startsDescending: true,
    widthRem: 5.4,
    rank: 4,
    sortValue: ({ forward }) => forward.packets,
  },
  reverse: {
    title: '← back',
    spoken: 'Packets back to the client',
    isNumber: true,
    startsDescending: true,
    widthRem: 4.4,
    rank: 4,
    sortValue: ({ reverse }) => reverse.packets,
  },
  bytes: {
    title: 'Bytes',
    isNumber: true,
    startsDescending: true,
    widthRem: 5,
    rank: 6,
    sortValue: ({ forward, reverse }) => forward.bytes + reverse.bytes,
  },
  state: { title: 'State', widthRem: 6.2, rank: 2, sortValue: ({ state }) => state },
  lost: {
    title: 'Lost',
    isOptional: true,
    isNumber: true,
    startsDescending: true,
    widthRem: 3.9,
    rank: 5,
    sortValue: (flow) => lostPackets(flow),
  },
  resent: {
    title: 'Resent',
    isOptional: true,
    spoken: 'Retransmitted packets',
    isNumber: true,
    startsDescending: true,
    widthRem: 4.4,
    rank: 8,
    sortValue: (flow) => resentPackets(flow),
  },
  rtt: {
    title: 'RTT',
    isOptional: true,
    spoken: 'Round trip time',
    isNumber: true,
    startsDescending: true,
    widthRem: 4.9,
    rank: 7,
    sortValue: ({ rttNs }) => rttNs,
  },
  begin: {
    title: 'Begin',
    spoken: 'Begin, after the first packet of all',
    isNumber: true,
    widthRem: 5.4,
    rank: 9,
    sortValue: ({ firstNs }) => (isNumeral(firstNs) ? firstNs.padStart(40, '0') : null),
  },
  duration: {
    title: 'Duration',
    isNumber: true,
    startsDescending: true,
    widthRem: 5.2,
    rank: 10,
    sortValue: (flow) => durationNs(flow),
  },
  findings: {
    title: 'Findings',
    isOptional: true,
    startsDescending: true,
    widthRem: 6.2,
    rank: 5,
    sortValue: ({ id }, { findings }) => {
      const { error = 0, warning = 0, info = 0 } = findings.get(id) ?? {}
      return error * 1e12 + warning * 1e6 + info
    },
  },
}

/** Characters of the longest address of each column that has some, as far as they are shown in full. */
export type AddressWidths = Partial<Record<ColumnKey, number>>

const MAX_ADDRESS_CHARACTERS = 24
const CHARACTER_REM = 0.52

export function addressWidths(flows: readonly FlowReport[]): AddressWidths {
  const widths = { client: 10, server: 10, nat: 4 }
  const widen = (key: keyof typeof widths, end: Endpoint, protocol: string) => {
    if (widths[key] < MAX_ADDRESS_CHARACTERS)
      widths[key] = Math.min(
        MAX_ADDRESS_CHARACTERS,
        Math.max(widths[key], renderEndpoint(end, protocol).length),
      )
  }
  for (const { client, server, protocol, translations } of flows) {
    widen('client', client, protocol)
    widen('server', server, protocol)
    for (const { to } of translations) widen('nat', to, protocol)
  }
  return widths
}

function widthOf(key: ColumnKey, widths: AddressWidths): number {
  return COLUMNS[key].widthRem + CHARACTER_REM * (widths[key] ?? 0)
}

/** The columns that have something to tell of some flow. */
export function usedColumns(flows: readonly FlowReport[], context: FlowContext): ColumnKey[] {
  return COLUMN_KEYS.filter((key) => {
    const { isOptional, sortValue } = COLUMNS[key]
    return !isOptional || flows.some((flow) => sortValue(flow, context))
  })
}

/** Those of `used` for a table of this width, in their order; null where there is only room for rows of two lines. */
export function columnsThatFit(
  widthRem: number,
  used: readonly ColumnKey[],
  widths: AddressWidths,
): ColumnKey[] | null {
  const byRank = [...used].sort((a, b) => COLUMNS[a].rank - COLUMNS[b].rank)
  const chosen = new Set<ColumnKey>()
  let usedRem = 0
  for (const key of byRank) {
    usedRem += widthOf(key, widths)
    if (usedRem > widthRem) break
    chosen.add(key)
  }
  // Fewer say too little of a flow.
  return chosen.has('state') ? used.filter((key) => chosen.has(key)) : null
}

/** As `grid-template-columns` wants it. */
export function gridTemplate(keys: readonly ColumnKey[], widths: AddressWidths): string {
  return keys
    .map((key) => {
      const rem = `${widthOf(key, widths).toFixed(2)}rem`
      return COLUMNS[key].grows ? `minmax(${rem}, 1fr)` : rem
    })
    .join(' ')
}

/** null where the report holds no times. */
export function durationNs({ firstNs, lastNs }: FlowReport): number | null {
  return nsBetween(firstNs, lastNs)
}

/** How many findings of each severity a flow has. */
export function findingsByFlow(findings: readonly FindingReport[]): Map<number, FlowFindings> {
  const byFlow = new Map<number, FlowFindings>()
  for (const { flow, severity } of findings) {
    if (flow === null) continue
    let counts = byFlow.get(flow)
    if (counts === undefined) {
      counts = { error: 0, warning: 0, info: 0 }
      byFlow.set(flow, counts)
    }
    counts[severity]++
  }
  return byFlow
}

/** Orders ends by version, address and port, and not by their texts. */
function endKey({ ip, port }: Endpoint): string {
  let key = ''
  for (const group of addressGroups(ip)) key += String.fromCharCode(group)
  return `${ip.includes(':') ? 6 : 4}${key}${String.fromCharCode(port)}`
}
