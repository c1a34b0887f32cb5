import { describe, expect, test } from 'vitest'
import { renderPointsJson } from '../../src/report/points-json.ts'
import { renderPoints } from '../../src/report/points-text.ts'
import { displayWidth } from '../../src/report/width.ts'
import type { Rule } from '../../src/topology/topology.ts'
import { expectHarmless } from '../commands/program.ts'
import { containerOf, interfaceOf, onOverlay, topologyOf } from '../topology/topologies.ts'

const OPTIONS = { columns: 80, color: false, isChosen: true }

function rule(chain: string, text: string, target: string, packets: number | null = 0): Rule {
  return {
    where: 'host',
    family: 'ip',
    table: 'nat',
    chain,
    text,
    target,
    packets,
    bytes: packets && packets * 75,
  }
}

describe('the tree', () => {
  const peer = {
    netnsPath: null,
    interfaceName: 'veth1a2b3c',
    index: 7,
    kind: 'veth',
    owner: 'host',
    bridge: 'docker0',
  }
  const web = containerOf('web', {
    pid: 4711,
    interfaces: [interfaceOf('eth0', { index: 6, peer, dnsNames: ['web', 'api'] })],
    ports: [{ hostIp: '::', hostPort: 8080, containerPort: 80, protocol: 'tcp' }],
    namespaces: [
      { kind: 'net', inode: 4026532325, isHost: false, sharedWith: ['side'] },
      { kind: 'pid', inode: 4026532324, isHost: false, sharedWith: [] },
      { kind: 'user', inode: 4026531837, isHost: true, sharedWith: [] },
      { kind: 'cgroup', inode: null, isHost: false, sharedWith: [] },
    ],
    rules: [
      rule('POSTROUTING', '-s 172.17.0.0/16 ! -o docker0 -j MASQUERADE', 'MASQUERADE', 1234),
      rule('DOCKER', '-i docker0 -j RETURN', 'RETURN'),
      rule('FORWARD', '-o docker0 -j DOCKER', 'DOCKER'),
      rule('FORWARD', 'policy DROP', 'DROP', null),
    ],
  })

  test('one container in full', () => {
    expect(renderPoints({ ...topologyOf([web]), notes: ['Nothing else.'] }, OPTIONS)).toBe(`host box
├─ uplink eth0 · 192.0.2.2/24 · via 192.0.2.1
├─ ip_forward on · for IPv6 unknown
│
└─ container web · box · running since 2026-01-02 03:04:05 UTC · process 4711
   │ Seen.
   ├─ mode bridge (default) · network bridge
   ├─ eth0 (6) ═══ (7) veth1a2b3c ─── docker0
   │    172.17.0.2/16 · 02:42:ac:11:00:02 · MTU 1500 · via 172.17.0.1
   │    network bridge · driver bridge · DNS web, api
   ├─ published [::]:8080 → 80/tcp
   ├─ rules that may touch its packets (packets, bytes)
   │    1,234  92.5 kB  nat POSTROUTING  -s 172.17.0.0/16 ! -o docker0 -j
   │                      MASQUERADE
   │        –        –  nat FORWARD  policy DROP
   │    2 more that say less: --json has all
   └─ namespaces
        own: pid 4026532324
        shared with the host: user 4026531837
        shared with side: net 4026532325
        not readable: cgroup

note Nothing else.
`)
  })

  test('many containers in short, those that do not run on a line', () => {
    const gone = containerOf('gone', { state: 'exited', pid: null, netns: null, netnsPath: null })
    const text = renderPoints(topologyOf([web, containerOf('a'), containerOf('b'), gone]), {
      ...OPTIONS,
      isChosen: false,
    })
    expect(text).not.toContain('MASQUERADE')
    expect(text).toContain('└─ not running: gone (exited 2026-01-02 03:04:05 UTC)\n')
    expect(text).toContain('--container NAME shows')
  })

  test('overlay, macvlan, and a cable whose other end is not found', () => {
    const parent = { netnsPath: null, interfaceName: 'eno1', index: 2, kind: 'ether' }
    const interfaces = [
      onOverlay('eth0', 'ov'),
      interfaceOf('eth1', { index: 3, kind: 'macvlan', driver: 'macvlan', peer: null, parent }),
      interfaceOf('eth2', { index: 4, peer: null }),
    ]
    const text = renderPoints(topologyOf([containerOf('odd', { interfaces })]), OPTIONS)
    expect(text).toMatch(/eth0 \(\d+\) ═══ \(\d+\) veth\d+ ─── br0 ─── vxlan0\n/)
    expect(text).toContain('VXLAN 4097')
    expect(text).toContain('eth1 (3) ─── (2) eno1\n')
    expect(text).toContain('eth2 (4) ═══ ?\n')
  })

  test('of many rules those that rewrite, deny or count; a network is told of once', () => {
    const rules = Array.from({ length: 30 }, (_, i) =>
      rule('FORWARD', `-p tcp --dport ${i} -j ACCEPT`, 'ACCEPT', +(i === 29)),
    )
    const many = containerOf('many', { rules: [...rules, rule('FORWARD', 'policy DROP', 'DROP')] })
    const text = renderPoints(topologyOf([many, { ...many, name: 'side' }]), OPTIONS)
    expect(text).toContain('--dport 11 -j')
    expect(text).not.toContain('--dport 12 -j')
    expect(text).toMatch(
      /1 {2}75 B {2}nat FORWARD {2}-p tcp --dport 29 -j ACCEPT\n.* policy DROP\n.* 17 more that say less/,
    )
    expect(text).toContain('rules as those of many\n')
  })

  test.each([60, 80, 120])('no line is wider than %i columns; colour changes no letter', (columns) => {
    const wide = containerOf('n'.repeat(64), {
      image: `registry.example/${'x'.repeat(200)}`,
      sees: 'Seen at eth0, its veth veth1a2b3c, the bridge docker0 and, translated, on the uplink. '.repeat(
        3,
      ),
      rules: [
        rule(
          'DOCKER-ISOLATION-STAGE-2',
          `-m comment --comment "${'y '.repeat(90)}" -j DROP`,
          'DROP',
          2 ** 53,
        ),
      ],
    })
    const text = renderPoints(topologyOf([web, wide]), { ...OPTIONS, columns })
    for (const line of text.split('\n')) expect(displayWidth(line)).toBeLessThanOrEqual(columns)
    const coloured = renderPoints(topologyOf([web, wide]), { ...OPTIONS, columns, color: true })
    for (const line of coloured.split('\n')) expect(displayWidth(line)).toBeLessThanOrEqual(columns)
    expect(coloured).toContain('\u001b[')
  })
})

describe('hostile names', () => {
  const evil = '\u001b]0;x\u0007\u202e\u200b\nname'
  const container = containerOf(evil, {
    image: evil,
    since: evil,
    sees: evil,
    sharesNetworkWith: evil,
    mode: 'container',
    interfaces: [
      interfaceOf(evil, { network: evil, driver: evil, dnsNames: [evil], mac: evil, gateways: [evil] }),
    ],
    namespaces: [{ kind: 'net', inode: 1, isHost: false, sharedWith: [evil] }],
    rules: [rule(evil, `-j ${evil}`, 'DROP'), rule('X', `${evil} policy`, evil)],
  })
  const topology = { ...topologyOf([container], { hostname: evil }), notes: [evil] }

  test('reach no terminal', () => {
    expectHarmless(renderPoints(topology, OPTIONS))
  })

  test('stand in the JSON as they are, escaped', () => {
    const json = renderPointsJson(topology)
    expectHarmless(json)
    const { schema, host, containers, notes } = JSON.parse(json)
    expect(schema).toBe('hoptrace.points/1')
    expect(host).toEqual(topology.host)
    expect(containers).toEqual(JSON.parse(JSON.stringify([container])))
    expect(notes).toEqual([evil])
  })
})
