/** Each station of each flow against tshark: how many packets it shows there, and with which TTL. */

import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { analyze } from '../../src/analysis.ts'
import type { FlowReport, Report, Station } from '../../src/report/model.ts'
import { requireTool, run } from '../tools.ts'

const CAPTURES = join(import.meta.dirname, '../../captures')
const hasTshark = requireTool('tshark')
/** Not `bulk-gso`: there a station shows packets in other pieces than they were sent in. */
const SCENARIOS = readdirSync(CAPTURES, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && entry.name !== 'bulk-gso')
  .map((entry) => entry.name)

const FIELDS = [
  'sll.ifindex',
  'ip.ttl',
  'ip.src',
  'ip.dst',
  'tcp.srcport',
  'tcp.dstport',
  'udp.srcport',
  'udp.dstport',
  'icmp.ident',
  'tcp.analysis.retransmission',
  'tcp.analysis.spurious_retransmission',
  'tcp.analysis.fast_retransmission',
  'tcp.analysis.out_of_order',
]

interface Counted {
  packets: number
  ttls: Set<number>
  resent: number
}

/** Packets by point and tuple, as tshark counts them. */
function countWithTshark(report: Report): Map<string, Counted> {
  const counts = new Map<string, Counted>()
  for (const source of new Set(report.points.map((point) => point.source))) {
    const args = ['-n', '-r', source, '-o', 'ip.defragment:FALSE', '-T', 'fields']
    const output = run('tshark', ...args, ...FIELDS.flatMap((field) => ['-e', field]), '-E', 'occurrence=f')
    const own = report.points.filter((point) => point.source === source)
    for (const line of output.split('\n')) {
      const [index, ttl, src, dst, ts, td, us, ud, id, ...resent] = line.split('\t')
      if (!src) continue
      const point = own.length === 1 && !index ? own[0]!.name : `any:${index}`
      const key = [point, src, ts || us || portOf(id), dst, td || ud || portOf(id)].join(' ')
      const counted = counts.get(key) ?? { packets: 0, ttls: new Set(), resent: 0 }
      counts.set(key, counted)
      counted.packets++
      counted.ttls.add(Number(ttl))
      if (resent.some((flag) => flag !== '')) counted.resent++
    }
  }
  return counts
}

function portOf(identifier: string | undefined): string {
  return identifier ? String(Number(identifier)) : ''
}

function keyOf({ point, src, dst }: Station): string {
  return [point, src.ip, src.port, dst.ip, dst.port].join(' ')
}

function stationsOf({ forward, reverse }: FlowReport): Station[] {
  return [...forward.path, ...reverse.path]
}

test.skipIf(!hasTshark).each(SCENARIOS)(
  '%s: packets and TTL at each station as tshark has them',
  async (scenario) => {
    const { report } = await analyze([join(CAPTURES, scenario)])
    const counts = countWithTshark(report)
    const stations = report.flows.flatMap(stationsOf)
    expect(stations.length).toBeGreaterThan(2)
    for (const station of stations) {
      const counted = counts.get(keyOf(station))
      expect({ ...station, packets: counted?.packets, ttl: [...(counted?.ttls ?? [])] }).toEqual({
        ...station,
        ttl: [station.ttl],
      })
    }
    // What is lost between two points is what the second one has less; what was sent again is what tshark says at the first.
    for (const flow of report.flows) {
      for (const { direction, between, packets } of flow.lost) {
        const at = (point: string) => flow[direction].path.find((station) => station.point === point)
        expect(packets).toBe(counts.get(keyOf(at(between[0])!))!.packets - (at(between[1])?.packets ?? 0))
      }
      for (const direction of ['forward', 'reverse'] as const) {
        const first = flow[direction].path[0]
        if (first) expect(flow.retransmissions[direction]).toBe(counts.get(keyOf(first))!.resent)
      }
    }
  },
)
