/** Expectations of the recorded scenarios: each kind where it holds and where it does not, with its evidence. */

import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { analyze } from '../../../src/analysis.ts'
import { evaluate } from '../../../src/report/expectations/evaluate.ts'
import { parseExpectation } from '../../../src/report/expectations/parse.ts'
import type { ExpectationReport, FlowReport, Report } from '../../../src/report/model.ts'
import { SCENARIOS } from '../../commands/program.ts'
import { natOf, readConntrack } from '../../correlate/conntrack.ts'
import { noFlows } from '../scenarios.ts'

const CAPTURES = join(import.meta.dirname, '../../../captures')
const reports = new Map<string, Promise<Report>>()

function reportOf(scenario: string): Promise<Report> {
  const known = reports.get(scenario) ?? analyze([join(CAPTURES, scenario)]).then(({ report }) => report)
  reports.set(scenario, known)
  return known
}

async function answer(scenario: string, expression: string): Promise<ExpectationReport> {
  return evaluate(parseExpectation(expression), await reportOf(scenario))
}

describe('what holds of the recorded scenarios, and what does not', () => {
  test.each([
    // Translations, of every flow.
    [
      'outbound-masquerade',
      'snat',
      true,
      /^2 of 2 flows: flow 1: SNAT 172\.17\.0\.3:47276 → 192\.168\.78\.100:47276 between bridge and uplink; flow 2: /,
    ],
    [
      'outbound-masquerade',
      'no-snat',
      false,
      /^0 of 2 flows do, not flow 1 \(tcp 172\.17\.0\.3:47276 → 203\.0\.113\.238:80\): SNAT /,
    ],
    ['outbound-masquerade', 'dnat', false, '0 of 2 flows do: no DNAT at container, veth, bridge, uplink'],
    ['outbound-masquerade', 'snat=192.168.78.100', true, /SNAT/],
    ['outbound-masquerade', 'snat=192.168.78.0/24', true, /SNAT/],
    [
      'outbound-masquerade',
      'snat=192.168.79.0/24',
      false,
      / between bridge and uplink, not 192\.168\.79\.0\/24/,
    ],
    ['outbound-masquerade', 'snat!=192.168.79.0/24', true, /SNAT/],
    ['outbound-masquerade', 'snat=:47276', false, /^1 of 2 flows do, not flow 2 .* not :47276$/],
    ['outbound-masquerade', 'flow(port=47276): snat=:47276', true, /^flow 1: SNAT/],
    [
      'inbound-published-port',
      'dnat=172.17.0.2:80',
      true,
      'flow 1: DNAT 192.168.78.100:8078 → 172.17.0.2:80 between uplink and bridge',
    ],
    ['inbound-published-port', 'dnat=172.17.0.2:81', false, /not 172\.17\.0\.2:81$/],
    ['double-nat', 'snat=192.168.78.100', true, /SNAT/],
    ['double-nat', 'snat=203.0.113.48', true, /SNAT/],
    ['any-cooked', 'nat', true, /^2 of 2 flows/],
    ['any-cooked', 'snat', false, /^1 of 2 flows do, not flow 1 .*: no SNAT at any:2, any:3, any:6$/],
    ['any-cooked', 'any flow: snat', true, /^1 of 2 flows: flow 2: SNAT/],
    [
      'same-bridge',
      'not nat',
      true,
      'flow 1: no SNAT or DNAT at client, clientveth, bridge, serverveth, server',
    ],
    ['masquerade-missing', 'snat', false, /no SNAT at container, veth, bridge, uplink$/],
    // One point shows no translation, and none that is missing either.
    ['embedded-dns', 'flow(tcp): no-snat', false, /seen only at eth0, where no translation shows$/],
    ['embedded-dns', 'flow(tcp): snat', false, /seen only at eth0/],
    [
      'embedded-dns',
      'flow(udp): dnat',
      true,
      '2 of 2 flows: DNAT 127.0.0.11:53 → 127.0.0.11:51086 before lo',
    ],
    // The way.
    ['double-nat', 'path=container,veth,bridge,uplink,lan,wan,server', true, /seen at container, veth/],
    ['double-nat', 'path=container,veth,bridge,uplink,lan,wan', false, /, server$/],
    ['forward-drop', 'path=container,veth,bridge,uplink', false, /: seen at container, veth, bridge$/],
    ['forward-drop', 'not path=container,veth,bridge,uplink', true, /seen at container, veth, bridge$/],
    ['forward-drop', 'via=bridge', true, /seen at/],
    ['forward-drop', 'via=uplink', false, /seen at/],
    ['forward-drop', 'no-via=uplink', true, /seen at/],
    // A name that is not there proves nothing, whichever way it is asked.
    [
      'forward-drop',
      'via=brigde',
      false,
      'there is no point brigde: the points are bridge, container, uplink, veth',
    ],
    ['forward-drop', 'not via=brigde', false, /^there is no point brigde/],
    ['forward-drop', 'p99(bridge,upl)<1s', false, /^there is no point upl: /],
    ['any-cooked', 'any flow: path=any:8,any:3,any:2', true, /^1 of 2 flows: flow 2/],
    // State.
    ['udp-and-ping', 'any flow: state=refused', true, '1 of 4 flows: flow 3: refused'],
    ['udp-and-ping', 'state!=reset', true, /^4 of 4 flows/],
    [
      'udp-and-ping',
      'state=stateless',
      false,
      /^3 of 4 flows do, not flow 3 \(udp 172\.17\.0\.3:55063 → 203\.0\.113\.238:9999\): refused$/,
    ],
    // TTL.
    [
      'outbound-masquerade',
      'ttl-drop==1',
      true,
      '2 of 2 flows: TTL falls by 1: 64 at container, 63 at uplink',
    ],
    ['double-nat', 'ttl-drop==2', true, 'flow 1: TTL falls by 2: 64 at container, 62 at server'],
    ['double-nat', 'ttl-drop<2', false, /TTL falls by 2/],
    ['same-bridge', 'ttl-drop==0', true, /TTL falls by 0/],
    ['embedded-dns', 'flow(tcp): ttl-drop==0', false, /seen only at eth0$/],
    // Latencies and round trips.
    ['double-nat', 'p99(lan,wan)<1ms', true, 'flow 1: p99 41.0 µs forward, 9.37 µs reverse'],
    ['double-nat', 'p99(wan,lan)<20us', false, /p99 41\.0 µs forward/],
    ['double-nat', 'p99(lan,wan,reverse)<20us', true, 'flow 1: p99 9.37 µs reverse'],
    ['double-nat', 'min(lan,wan)>=2103ns', true, /min 2\.10 µs forward/],
    ['double-nat', 'min(lan,wan,forward)>2103ns', false, /min 2\.10 µs forward$/],
    ['double-nat', 'min(lan,wan,forward)<2104ns', true, 'flow 1: min 2.10 µs (2103 ns) forward'],
    ['double-nat', 'median(lan,wan)<10us', true, /median 5\.50 µs forward, 5\.61 µs reverse$/],
    [
      'double-nat',
      'p99(container,server)<1s',
      false,
      /no latency was measured between container and server: there are \(container,veth\), \(veth,bridge\)/,
    ],
    ['forward-drop', 'p99(bridge,uplink)<1s', false, /no latency was measured between bridge and uplink/],
    ['forward-drop', 'rtt<1s', false, /no round trip was seen$/],
    ['double-nat', 'rtt<1ms', true, 'flow 1: 209 µs'],
    ['double-nat', 'rtt>1ms', false, /: 209 µs$/],
    [
      'many-flows',
      'p99(bridge,uplink)<100us',
      false,
      /^147 of 150 flows do, not flow 24 .* 138 µs forward.*flow 85 .* 122 µs/,
    ],
    // Counts are sums.
    ['many-flows', 'flows==150', true, '150 flows'],
    ['many-flows', 'packets==1782', true, /^1,782 packets: flow 1: 6 forward, 6 reverse; .*… 145 more$/],
    ['many-flows', 'every flow: packets>9', true, /^150 of 150 flows/],
    ['outbound-masquerade', 'lost==0', true, '0 packets lost in 2 flows'],
    ['lossy-download', 'lost==0', false, '7 packets lost: flow 1: 7 reverse from uplink to bridge'],
    ['lossy-download', 'lost<10', true, /^7 packets lost/],
    ['forward-drop', 'lost==3', true, '3 packets lost: flow 1: 3 forward from bridge to uplink'],
    ['loopback-proxy', 'lost==0', true, '0 packets lost in 2 flows; 1 flow seen at one point only'],
    ['embedded-dns', 'lost==0', false, 'no flow was seen at two points, to be compared'],
    ['lossy-download', 'retransmissions==0', false, '11 packets sent again: flow 1: 0 forward, 11 reverse'],
    ['outbound-masquerade', 'retransmissions==0', true, /^0 packets/],
    ['outbound-masquerade', 'ambiguous==0', true, /^0 packets/],
    ['outbound-masquerade', 'duplicates>0', false, /^0 frames/],
    ['outbound-masquerade', 'unseen!=0', false, /^0 packets/],
    [
      'udp-and-ping',
      'errors==2',
      true,
      /^2 errors: connection-refused of flow 3 \(.*\); ttl-expired of flow 4 \(/,
    ],
    ['udp-and-ping', 'flow(tcp or udp): errors==1', true, /^1 error: connection-refused of flow 3/],
    ['udp-and-ping', 'warnings>0', false, 'no warning'],
    ['outbound-masquerade', 'findings>=1', true, /^\d+ findings?: .*checksum-offload \(/],
    ['outbound-masquerade', 'findings==0', false, /checksum-offload \(/],
    // Findings.
    [
      'port-collision',
      'finding=port-remapped',
      true,
      /^port-remapped of flow 2 \(source port 45000 became 54039/,
    ],
    ['port-collision', 'flow(host 172.17.0.3): finding=port-remapped', false, /^no port-remapped: /],
    ['port-collision', 'flow(host 172.17.0.3): no-finding=port-remapped', true, /^no port-remapped/],
    ['port-collision', 'every flow: finding=port-remapped', false, /^1 of 2 flows do, not flow 1 /],
    ['outbound-masquerade', 'finding=port-remapped', false, /^no port-remapped: only .*checksum-offload/],
    [
      'outbound-masquerade',
      'no-finding>=warning',
      true,
      /^no finding of severity warning or above: only .*checksum-offload/,
    ],
    ['outbound-masquerade', 'no-finding>=info', false, /checksum-offload \(/],
    [
      'lossy-download',
      'no-finding>=warning',
      false,
      /^dropped-between-points of flow 1 \(.*\); retransmissions of flow 1/,
    ],
    ['udp-and-ping', 'flow(port=5353): no-finding>=warning', true, /none at all$/],
    ['forward-drop', 'finding>=error', true, /^dropped-between-points/],
    ['masquerade-missing', 'finding=snat-missing', true, /^snat-missing/],
    // Selections.
    ['udp-and-ping', 'flow(proto=icmp): snat', false, /^1 of 2 flows do, not flow 4/],
    ['udp-and-ping', 'flow(port=(5353 or 9999)): flows==2', true, '2 flows'],
    ['udp-and-ping', 'flow(udp,dst port=9999): state=refused', true, 'flow 3: refused'],
    ['outbound-masquerade', 'flow(port=9): lost==0', false, 'no flow matches flow(port=9), out of 2'],
    ['outbound-masquerade', 'flow(port=9): no-snat', false, /^no flow matches/],
    ['outbound-masquerade', 'flow(port=9): no-finding>=error', false, /^no flow matches/],
    ['outbound-masquerade', 'any flow(port=9): no-snat', false, /^no flow matches/],
    ['outbound-masquerade', 'flow(port=9): finding>=info', false, /^no flow matches/],
    ['outbound-masquerade', 'flow(port=9): flows==0', true, '0 flows'],
    ['outbound-masquerade', 'flow(port=9): flows==1', false, /^no flow matches/],
  ] as const)('%s: %s: %s', async (scenario, expression, holds, evidence) => {
    const found = await answer(scenario, expression)
    expect([found.holds, found.evidence]).toEqual([
      holds,
      typeof evidence === 'string' ? evidence : expect.stringMatching(evidence),
    ])
    expect(found.expression).toBe(expression)
  })
})

test.each(SCENARIOS)(
  '%s: each translation that conntrack names holds, and no other port',
  async (scenario) => {
    const report = await reportOf(scenario)
    const connections = readConntrack(join(CAPTURES, scenario, 'conntrack.host.txt'))
    for (const connection of connections) {
      const { original, protocol } = connection
      const ends = protocol === 'icmp' ? `id=${original.src.port}` : `src port=${original.src.port}`
      const flow = `flow(src host=${original.src.ip},${ends},proto=${protocol})`
      const kinds = natOf(connection).map(({ kind }) => kind)
      const holds = (expression: string) => evaluate(parseExpectation(`${flow}: ${expression}`), report).holds
      expect([flow, holds('flows==1')]).toEqual([flow, true])
      for (const { kind, to } of natOf(connection)) {
        expect([flow, holds(`${kind}=${to.ip}:${to.port}`)]).toEqual([flow, true])
        expect(holds(`${kind}=${to.ip}:${to.port ^ 1}`)).toBe(false)
        expect(holds(`no-${kind}`)).toBe(false)
      }
      if (kinds.length === 0) expect(holds('nat')).toBe(false)
    }
    // Where no connection was confirmed, as none got through, none was translated either.
    if (connections.length === 0)
      expect(evaluate(parseExpectation('any flow: nat'), report).holds).toBe(false)
  },
)

test.each([
  'lost==0',
  'snat',
  'no-snat',
  'ttl-drop<9',
  'path=a',
  'no-finding>=info',
  'errors==0',
  'packets==0',
])('of no flow at all %s does not hold', (expression) => {
  for (const prefix of ['', 'flow: ', 'any flow: ', 'every flow: ', 'flow(tcp): '])
    expect(evaluate(parseExpectation(prefix + expression), noFlows)).toEqual({
      expression: prefix + expression,
      holds: false,
      evidence: 'there is no flow',
    })
})

test('what needs no flow is told without any', () => {
  const [damage] = noFlows.findings
  expect(evaluate(parseExpectation('flows==0'), noFlows).holds).toBe(true)
  const findings = [
    { code: 'truncated-file', severity: 'warning', flow: null, summary: 'x', evidence: {} } as typeof damage,
  ]
  const cut = { ...noFlows, findings }
  expect(evaluate(parseExpectation('finding=truncated-file'), cut).holds).toBe(true)
  expect(evaluate(parseExpectation('no-finding=truncated-file'), cut).holds).toBe(false)
  expect(evaluate(parseExpectation('flow(tcp): finding=truncated-file'), cut).holds).toBe(false)
})

test('what the capture itself missed is told beside the losses', async () => {
  const report = structuredClone(await reportOf('lossy-download'))
  report.flows[0]!.unseen.push({ direction: 'forward', point: 'veth', packets: 3 })
  const told = (expression: string) => evaluate(parseExpectation(expression), report).evidence
  expect(told('lost==0')).toBe(
    '7 packets lost: flow 1: 7 reverse from uplink to bridge; 3 packets unseen, for other reasons',
  )
  expect(told('unseen==3')).toBe('3 packets unseen: flow 1: 3 forward at veth')
})

test('the flows that decide', async () => {
  const flows = async (scenario: string, expression: string) => (await answer(scenario, expression)).flows
  expect(await flows('udp-and-ping', 'snat')).toEqual([4])
  expect(await flows('udp-and-ping', 'flow(udp): snat')).toEqual([2, 3])
  expect(await flows('udp-and-ping', 'errors==0')).toEqual([3, 4])
  expect(await flows('udp-and-ping', 'lost==0')).toBeUndefined()
  expect(await flows('many-flows', 'snat')).toHaveLength(100)
  expect(await flows('many-flows', 'p99(bridge,uplink)<100us')).toEqual([24, 48, 85])
})

test('an IPv6 target in any of its spellings, with a port or without', async () => {
  const text = JSON.stringify(await reportOf('inbound-published-port')).replaceAll(
    '172.17.0.2',
    '2001:db8::1:0:2',
  )
  const six = JSON.parse(text) as Report
  const holds = (expression: string) => evaluate(parseExpectation(expression), six).holds
  for (const address of [
    '2001:db8::1:0:2',
    '[2001:DB8:0::1:0:2]',
    '[2001:db8::1:0:2]:80',
    '2001:db8::/32',
    ':80',
  ])
    expect([address, holds(`dnat=${address}`)]).toEqual([address, true])
  for (const address of ['2001:db8::1:0:3', '[2001:db8::1:0:2]:81', '172.17.0.0/16'])
    expect([address, holds(`dnat=${address}`)]).toEqual([address, false])
})

test('evidence of thousands of flows stays a few lines', async () => {
  const report = await reportOf('lossy-download')
  const [one] = report.flows as [FlowReport]
  const flows = Array.from({ length: 20_000 }, (_, i) => ({
    ...one,
    id: i + 1,
    client: { ip: '::1', port: i },
  }))
  const findings = report.findings.flatMap((finding) => flows.map(({ id }) => ({ ...finding, flow: id })))
  for (const expression of [
    'snat=:1',
    'lost==0',
    'no-finding>=info',
    'p99(bridge,uplink)<1ns',
    'rtt<1ns',
    'flows==1',
  ]) {
    const {
      holds,
      evidence,
      flows: ids = [],
    } = evaluate(parseExpectation(expression), { ...report, flows, findings })
    expect(holds).toBe(false)
    expect(evidence.length).toBeLessThan(1000)
    expect(ids.length).toBeLessThanOrEqual(100)
  }
})
