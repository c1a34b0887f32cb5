/** Counters: reads the kernel's tables of numbers in /proc/net, and tells which of them moved. */

import type { CounterReceipt } from './model.ts'

/** `group name` → count. */
export type Counters = ReadonlyMap<string, number>

/** They go up with any traffic and tell nothing about its way. */
const ORDINARY =
  /Octets$|Pkts$|^TcpExt (TCPHP|TCPPureAcks|TCPHystart|TCPAutoCorking|TCPOrigDataSent|TCPDelivered|TCPRcvCoalesce|TCPWqueueTooBig|DelayedACK|TW$)/
/** Levels, which come and go. */
const LEVELS = new Set(['Tcp CurrEstab', 'nf_conntrack entries'])
/** Columns of nf_conntrack's statistics that mean trouble; the others count what it does all day. */
const CONNTRACK_TROUBLE = [
  'clashres',
  'invalid',
  'insert_failed',
  'drop',
  'early_drop',
  'icmp_error',
  'chainlength',
]

/** `/proc/net/snmp` and `/proc/net/netstat`: a line of names and a line of numbers for each group. */
export function parseSnmp(text: string): Counters {
  const counters = new Map<string, number>()
  const lines = text.split('\n')
  for (let i = 0; i + 1 < lines.length; i += 2) {
    const [title = '', ...names] = lines[i]!.trim().split(/\s+/)
    const [same, ...values] = lines[i + 1]!.trim().split(/\s+/)
    if (title !== same) continue
    for (const [at, name] of names.entries()) add(counters, `${title.replace(/:$/, '')} ${name}`, values[at])
  }
  return counters
}

/** `/proc/net/snmp6`: a name and a number on each line; the group is in front of the name. */
export function parseSnmp6(text: string): Counters {
  const counters = new Map<string, number>()
  for (const [, group, name, value] of text.matchAll(/^(UdpLite6|[A-Z][a-z]+6)(\w+)\s+(\d+)$/gm))
    add(counters, `${group} ${name}`, value)
  return counters
}

/** `/proc/net/softnet_stat`: hexadecimal, a line for each processor; those columns that tell of lost packets. */
export function parseSoftnet(text: string): Counters {
  const counters = new Map<string, number>()
  for (const line of text.split('\n')) {
    const columns = line.trim().split(/\s+/)
    for (const [at, name] of [
      [1, 'dropped'],
      [10, 'flow_limit_count'],
    ] as const)
      if (columns[at] !== undefined) add(counters, `softnet ${name}`, `0x${columns[at]}`)
  }
  return counters
}

/** `/proc/net/stat/nf_conntrack`: names, then hexadecimal numbers, a line for each processor. */
export function parseConntrackStatistics(text: string): Counters {
  const [head = '', ...lines] = text.split('\n')
  const names = head.trim().split(/\s+/)
  const counters = new Map<string, number>()
  for (const line of lines) {
    const values = line.trim().split(/\s+/)
    for (const [at, name] of names.entries())
      if (CONNTRACK_TROUBLE.includes(name) && values[at])
        add(counters, `nf_conntrack ${name}`, `0x${values[at]}`)
  }
  return counters
}

/** Those that differ; one that goes back began anew. */
export function movedCounters(before: Counters, after: Counters): CounterReceipt[] {
  return [...after].flatMap(([key, value]) => {
    const earlier = before.get(key)
    if (earlier === value || ORDINARY.test(key) || LEVELS.has(key)) return []
    if (earlier === undefined && value === 0) return []
    const space = key.indexOf(' ')
    return {
      group: key.slice(0, space),
      name: key.slice(space + 1),
      before: earlier ?? null,
      after: value,
    }
  })
}

/** Tables are summed over processors; what is no number is not there. */
function add(counters: Map<string, number>, key: string, text: string | undefined): void {
  const value = Number(text)
  if (text !== undefined && Number.isFinite(value)) counters.set(key, (counters.get(key) ?? 0) + value)
}
