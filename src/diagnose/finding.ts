/** The finding: one thing that is wrong, odd or good to know, with its evidence. Codes are the contract's. */

import { type Cause, inOrder, withCause } from './cause.ts'

export type Severity = 'error' | 'warning' | 'info'

/** Codes that this version can find, with their severities. */
export const SEVERITY = {
  'dropped-between-points': 'error',
  'no-reply': 'error',
  'connection-refused': 'error',
  'snat-missing': 'error',
  'dnat-missing': 'error',
  'reply-not-translated': 'error',
  'mtu-blackhole': 'error',
  'conntrack-full': 'error',
  'arp-unanswered': 'error',
  'ttl-expired': 'error',
  'reset-by-peer': 'error',
  retransmissions: 'warning',
  'syn-flood': 'warning',
  'duplicate-address': 'warning',
  'asymmetric-path': 'warning',
  'capture-drops': 'warning',
  'truncated-file': 'warning',
  'checksum-bad': 'warning',
  'ambiguous-matches': 'warning',
  'clock-uncertain': 'warning',
  'checksum-offload': 'info',
  'port-remapped': 'info',
  'fragmentation-needed': 'info',
  'zero-window': 'info',
  'slow-hop': 'info',
  hairpin: 'info',
  'family-translated': 'info',
  'proxy-splice': 'info',
  encapsulated: 'info',
  'mss-clamped': 'info',
  'segmentation-differs': 'info',
  'snaplen-truncated': 'info',
  fragmented: 'info',
} as const satisfies Record<string, Severity>
export type FindingCode = keyof typeof SEVERITY

export interface Finding {
  code: FindingCode
  severity: Severity
  /** The flow's id, or null where the finding is about a point or the whole run. */
  flow: number | null
  /** One plain sentence. */
  summary: string
  evidence: {
    /** First few record numbers, by point. */
    frames?: Record<string, number[]>
    [key: string]: unknown
  }
  /** Why it may be so: what the capture's receipts confirm first, then what is likeliest. */
  causes?: Cause[]
}

/** Makes a finding with the severity of its code. */
export function finding(
  code: FindingCode,
  flow: number | null,
  summary: string,
  evidence: Finding['evidence'] = {},
  causes: readonly Cause[] = [],
): Finding {
  const told = { code, severity: SEVERITY[code], flow, summary: withCause(summary, causes), evidence }
  return causes.length === 0 ? told : { ...told, causes: inOrder(causes) }
}

/** `1 packet`, `3 packets`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}
