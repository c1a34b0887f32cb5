import { spawnSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import { acceptAll, type BpfProgram, compileBpf } from '../../../src/capture/live/bpf.ts'
import { requireTool, run } from '../../tools.ts'

const ETHERNET = 1
const RAW = 101
const SLL2 = 276

/** One line an instruction, as `tcpdump -ddd` prints them. */
function lines({ instructions, count }: BpfProgram): string[] {
  const view = new DataView(instructions.buffer, instructions.byteOffset)
  expect(instructions).toHaveLength(8 * count)
  return Array.from({ length: count }, (_, i) =>
    [
      view.getUint16(8 * i, true),
      view.getUint8(8 * i + 2),
      view.getUint8(8 * i + 3),
      view.getUint32(8 * i + 4, true),
    ].join(' '),
  )
}

describe.skipIf(!requireTool('tcpdump'))('as tcpdump compiles it', () => {
  const expressions = [
    '',
    'ip',
    'tcp port 80',
    'tcp[tcpflags] & (tcp-syn|tcp-fin) != 0 and not src and dst net 127.0.0.0/8',
    'host 172.17.0.2 and (port 53 or port 443)',
    'ip6 and udp portrange 1000-2000',
    'icmp or icmp6 or arp',
    'net 10.0.0.0/8',
    'host 2001:db8::1',
    'greater 1000',
    'ip[8] < 5 and len > 60',
    'inbound',
    '(((tcp)))',
    'ip proto \\vrrp',
  ]
  const ethernetOnly = ['ether host 02:42:ac:11:00:02', 'ether broadcast', 'ether proto 0x88cc', 'mpls 7']
  test.each([
    [ETHERNET, 'EN10MB', [...expressions, ...ethernetOnly]],
    [RAW, 'RAW', expressions],
    [SLL2, 'LINUX_SLL2', expressions],
  ])('LINKTYPE_ %i, %s', (linkType, name, list) => {
    for (const expression of list) {
      for (const snapLenBytes of [0, 96, 65_535]) {
        const shown = run('tcpdump', '-y', name, '-s', String(snapLenBytes), '-ddd', expression)
        const [count, ...instructions] = shown.trim().split('\n')
        const program = compileBpf(expression, linkType, snapLenBytes)
        expect(lines(program), expression).toEqual(instructions)
        expect(program.count).toBe(Number(count))
      }
    }
  })

  test.each([
    ['tcp prot 80', '--bpf "tcp prot 80": can\'t parse filter expression: syntax error: see pcap-filter(7)'],
    ['ip broadcast', "netmask not known, so 'ip broadcast' not supported"],
    ['host no-such-host.invalid', "unknown host 'no-such-host.invalid'"],
    ['tcp and udp', 'expression rejects all packets'],
    ['tcp \u001b[31m', '--bpf "tcp \\x1B[31m": can\'t parse'],
    ['('.repeat(1000), 'syntax error'],
    ['vlan 7 and ip', '"vlan" would never match'],
    ['tcp and (vlan)', '"vlan" would never match'],
    ['host vlan.example.invalid', "unknown host 'vlan.example.invalid'"],
    ['tcp\0or nothing', '--bpf "tcp\\x00or nothing": has a NUL character'],
    [`ip${' or ip'.repeat(1_000_000)}`, 'is too long for libpcap (6000002 characters, at most 2048)'],
    [
      `host ::1${Array.from({ length: 242 }, (_, i) => ` or ::${(i + 2).toString(16)}`).join('')}`,
      'and the kernel takes 4096: make it shorter',
    ],
  ])('refused: number %#', (expression, message) => {
    expect(() => compileBpf(expression, ETHERNET, 0)).toThrow(message)
    try {
      compileBpf(expression, ETHERNET, 0)
    } catch (error) {
      expect(error).toMatchObject({ name: 'HoptraceError', exitCode: 2 })
      expect((error as Error).message.length).toBeLessThan(500)
      expect((error as Error).message).not.toMatch(/\p{Cc}/u)
    }
  })

  test('what the limit lets through takes neither the stack nor minutes', () => {
    const fill = (term: (i: number) => string) => {
      let text = 'ip'
      for (let i = 0; text.length + term(i).length <= 2048; i++) text += term(i)
      return text
    }
    const hard = [
      fill((i) => ` or port ${i + 1}`),
      fill((i) => ` or host a::${i}`),
      `ip[${'ip['.repeat(400)}0${']'.repeat(400)}]=1`,
      `${'('.repeat(1000)}ip${')'.repeat(1000)}`,
      `${'not '.repeat(500)}ip`,
    ]
    for (const expression of hard) {
      try {
        expect(compileBpf(expression, ETHERNET, 0).count).toBeGreaterThan(0)
      } catch (error) {
        expect((error as Error).name).toBe('HoptraceError')
      }
    }
  })
})

test('everything, cut to the snaplen', () => {
  expect(lines(acceptAll(0))).toEqual(['6 0 0 262144'])
  expect(lines(acceptAll(96))).toEqual(['6 0 0 96'])
})

test('koffi is loaded only when something is compiled', () => {
  const module = new URL('../../../dist/capture/live/bpf.js', import.meta.url)
  const text = `
    const { acceptAll } = await import(${JSON.stringify(module.href)})
    acceptAll(96)
    const { createRequire } = await import('node:module')
    const loaded = Object.keys(createRequire(import.meta.url).cache).filter((name) => name.includes('koffi'))
    console.log(loaded.length, process.report.getReport().sharedObjects.filter((name) => /koffi|pcap/.test(name)).length)`
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', text], {
    encoding: 'utf8',
  })
  expect([stdout.trim(), stderr]).toEqual(['0 0', ''])
})
