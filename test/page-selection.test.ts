/** The page of one flow tells nothing of the others: what it is made of is searched for what is theirs. */

import { expect, test } from 'vitest'
import { analyze } from '../src/analysis.ts'
import { selectForPage } from '../src/page/selection.ts'
import type { FindingReport, StreamedReport } from '../src/report/model.ts'
import { sampleReceipts } from './receipts/sample.ts'

const NO_FILTER = { hosts: [], ports: [], protocols: [], ids: [] }

const about = (summary: string, evidence: object = {}, flow: number | null = null): FindingReport => ({
  code: 'arp-unanswered',
  severity: 'warning',
  flow,
  summary,
  evidence: { ...evidence },
})

/** Two flows, and beside each the same things with other addresses. */
async function reportOfTwo(): Promise<StreamedReport> {
  const { report } = await analyze(['captures/port-collision'])
  const receipts = sampleReceipts()
  const [host] = receipts.namespaces
  const entries = report.flows.map(({ forward: { path } }) => {
    const [first, last] = [path[0]!, path.at(-1)!]
    return {
      ...host!.conntrack!.entries[0]!,
      original: tuple(first.src, first.dst),
      reply: tuple(last.dst, last.src),
    }
  })
  const clients = report.flows.map(({ client }) => client.ip)
  return {
    ...report,
    names: Object.fromEntries(clients.map((ip, i) => [ip, `name-${i + 1}`])),
    receipts: [
      {
        ...receipts,
        namespaces: [
          {
            ...host!,
            conntrack: { ...host!.conntrack!, entries },
            neighbours: clients.map((ip) => ({ ip, interfaceName: 'eth0', mac: null, state: 'FAILED' })),
            listeners: [80, 9999].map((port) => ({ protocol: 'tcp' as const, ip: '0.0.0.0', port })),
            traces: [],
          },
        ],
      },
    ],
    findings: [
      ...clients.map((ip) => about(`${ip} asked for 172.17.0.99, and nobody answered: nothing`)),
      about('2 addresses were asked for', { addresses: ['172.17.0.98', '172.17.0.99'] }),
      about('the capture at uplink itself dropped 7 frames (1.5 %)'),
    ],
  }
}

function tuple(src: { ip: string; port: number }, dst: { ip: string; port: number }) {
  return { src: src.ip, sport: src.port, dst: dst.ip, dport: dst.port, packets: null }
}

test('names, connections, neighbours and findings of other flows are left out, those of the flow are there', async () => {
  const report = await reportOfTwo()
  const [mine, theirs] = [...report.flows]
  expect(mine!.client.ip).not.toBe(theirs!.client.ip)
  const selected = selectForPage(report, { ...NO_FILTER, ids: [1] })
  const text = JSON.stringify({ ...selected, flows: [...selected.flows] })
  expect(text).not.toContain(theirs!.client.ip)
  expect(text).not.toContain('name-2')
  expect(text).not.toContain('172.17.0.98')
  expect(selected.names).toEqual({ [mine!.client.ip]: 'name-1' })
  const [host] = selected.receipts![0]!.namespaces
  expect(host!.conntrack!.entries.map(({ original }) => original.src)).toEqual([mine!.client.ip])
  expect(host!.neighbours.map(({ ip }) => ip)).toEqual([mine!.client.ip])
  expect(host!.listeners.map(({ port }) => port)).toEqual([mine!.server.port])
  expect(selected.findings.map(({ summary }) => summary)).toEqual([
    `${mine!.client.ip} asked for 172.17.0.99, and nobody answered: nothing`,
    'the capture at uplink itself dropped 7 frames (1.5 %)',
  ])
})

test('without a filter nothing is left out', async () => {
  const report = await reportOfTwo()
  expect(selectForPage(report, NO_FILTER)).toBe(report)
})
