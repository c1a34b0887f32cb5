/** `--decode-as`: tunnels behind other ports than the usual ones. */

import { describe, expect, test } from 'vitest'
import { decodeAs } from '../../src/commands/option-values.ts'
import { temporaryFolder } from '../capture/reading.ts'
import { TraceBuilder } from '../trace/builder.ts'
import { expectRefused, hoptrace } from './program.ts'

const folder = temporaryFolder()

function traced(name: string, port?: number): string {
  const trace = new TraceBuilder({ seed: 1, points: ['pod', 'uplink', 'uplink2', 'pod2'], routed: [1] })
  const tunnel = {
    kind: 'vxlan',
    id: 42,
    within: [0, 2],
    client: '192.168.1.10',
    server: '192.168.2.20',
  } as const
  const web = trace.tcp({
    client: { ip: '10.244.1.5', port: 40_000 },
    server: { ip: '10.244.2.7', port: 80 },
    tunnels: [{ ...tunnel, ...(port === undefined ? {} : { port }) }],
  })
  web.open()
  web.close()
  trace.write(folder.path(name))
  return folder.path(name)
}

/** How many tunnels are around the packets at each point, of all flows. */
async function tunnelsOf(...args: string[]): Promise<string[]> {
  const { stdout, code } = await hoptrace('analyze', '--json', ...args)
  expect(code).toBe(0)
  return JSON.parse(stdout).flows.map(
    ({
      protocol,
      forward,
    }: {
      protocol: string
      forward: { path: { point: string; encapsulation?: [] }[] }
    }) =>
      `${protocol} ${forward.path.map(({ point, encapsulation = [] }) => `${point}:${encapsulation.length}`).join(' ')}`,
  )
}

const THROUGH = ['tcp pod:0 uplink:1 uplink2:1 pod2:0']

test('a port that was named is a tunnel’s, beside the usual ones', async () => {
  const [strange, usual] = [traced('strange', 8888), traced('usual')]
  expect(await tunnelsOf(strange, '--decode-as', '8888=vxlan')).toEqual(THROUGH)
  expect(await tunnelsOf(usual, '--decode-as', '8888=vxlan')).toEqual(THROUGH)
  expect(await tunnelsOf(strange, '--decode-as', '9=GENEVE', '--decode-as', '8888=VXLAN')).toEqual(THROUGH)
  const closed = ['tcp pod:0 pod2:0', 'udp uplink:0 uplink2:0', 'udp uplink2:0 uplink:0']
  expect(await tunnelsOf(strange)).toEqual(closed)
  expect(await tunnelsOf(usual, '--decode-as', '4789=none')).toEqual(closed)
})

test('capture knows it, too', async () => {
  const strange = traced('live', 8888)
  const points = ['pod', 'uplink'].flatMap((name) => ['--point', `${name}=exec:cat ${strange}/${name}.pcap`])
  const { stdout, code } = await hoptrace('capture', ...points, '--json', '--decode-as', '8888=vxlan')
  expect(code).toBe(0)
  const { flows } = JSON.parse(stdout)
  expect(flows).toHaveLength(1)
  expect(flows[0].forward.path.at(-1).encapsulation).toEqual([
    { kind: 'vxlan', id: 42, src: '192.168.1.10', dst: '192.168.2.20' },
  ])
})

test('the last word on a port counts', () => {
  const said = ['8888=vxlan', '8888=geneve', '6081=none', '1=gtpu', '1=none'].reduce(
    (ports, value) => decodeAs(value, ports),
    decodeAs('65535=gtpu'),
  )
  expect([...said]).toEqual([
    [4789, 'vxlan'],
    [8472, 'vxlan'],
    [2152, 'gtpu'],
    [65_535, 'gtpu'],
    [8888, 'geneve'],
  ])
  expect(decodeAs('4789=none').has(4789)).toBe(false)
  expect(decodeAs('8888=vxlan').has(4789)).toBe(true)
})

describe('a value that makes no sense', () => {
  test.concurrent.each([
    '8888',
    '=vxlan',
    '8888=',
    '8888=vxlan2',
    '0=vxlan',
    '65536=vxlan',
    '-1=vxlan',
    '8888=gre',
    '1e3=vxlan',
    '8888 = vxlan',
    'vxlan=8888',
    '',
  ])('%j', async (value) => {
    const message =
      /--decode-as <port=kind>.*Give PORT=KIND, such as 8888=vxlan; KIND is vxlan, geneve, gtpu or none/
    for (const command of ['analyze', 'capture'])
      expectRefused(await hoptrace(command, `--decode-as=${value}`, '.'), message)
  })
})
