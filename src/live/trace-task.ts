/** The trace task: whose packets a run traces through the rules, from what it captures and shows. */

import { randomBytes } from 'node:crypto'
import { HoptraceError } from '../errors.ts'
import { narrowed, TRACES_PER_SECOND, type TraceMatch, traceMatchesOf } from '../receipts/trace-matches.ts'
import type { TraceTask } from '../receipts/tracing.ts'
import type { FoundPlaces } from './live-points.ts'

const ANY_ADDRESS = ['0.0.0.0', '::']
const PROTOCOLS: Readonly<Record<string, number>> = { tcp: 6, udp: 17, sctp: 132 }
const MAX_SHOWN = 6

/**
 * From `expression` (`--filter` or `--bpf`) as far as nft can tell it, else from the containers' addresses and published
 * ports. `about` says in one sentence what will be done. Throws a `HoptraceError` where nothing says whose packets.
 */
export function traceTaskFor(
  { addresses, ports, namespaces }: FoundPlaces,
  expression: string | undefined,
): { task: TraceTask; about: string } {
  const own: TraceMatch[] = [
    ...[...new Set(addresses)].map((ip) => ({ protocol: null, hosts: [ip], ports: [] })),
    ...ports.map(({ hostIp, hostPort, protocol }) => ({
      protocol: PROTOCOLS[protocol] ?? null,
      hosts: ANY_ADDRESS.includes(hostIp) ? [] : [hostIp],
      ports: [[hostPort, hostPort] as const],
      isPublished: true,
    })),
  ]
  const wanted = expression === undefined ? null : traceMatchesOf(expression)
  const matches = wanted === null ? own : narrowed(wanted, own)
  if (matches.length === 0)
    throw new HoptraceError(
      "--trace-rules: nothing says whose packets to trace: name a container, or give --filter 'host … and port …'",
    )
  const table = `hoptrace-${process.pid}-${randomBytes(4).toString('hex')}`
  const listed = [...new Set([...addresses, ...ports.map(({ hostPort }) => `port ${hostPort}`)])]
  const whose = wanted === null ? listed : [`"${expression}"`]
  const shown = whose.length > MAX_SHOWN ? [...whose.slice(0, MAX_SHOWN), '…'] : whose
  const where = namespaces.map(({ name }) => name).join(', ')
  return {
    task: { table, matches },
    about: `--trace-rules: adds the nftables table inet ${table} until the end, where there are rules (${where}): packets of ${shown.join(', ')} are traced, at most ${TRACES_PER_SECOND} a second, and go on as before`,
  }
}
