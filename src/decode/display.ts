/** Writes header fields as people know them: addresses, protocol names, ICMP errors, TCP flags. */

import { u16 } from './big-endian.ts'
import { TcpFlag } from './headers.ts'

/** The 4 bytes at `offset` as `172.17.0.3`. */
export function formatIpv4(bytes: Uint8Array, offset: number): string {
  return `${bytes[offset]}.${bytes[offset + 1]}.${bytes[offset + 2]}.${bytes[offset + 3]}`
}

/** The 16 bytes at `offset` as RFC 5952 writes them: `2001:db8::1`, `::ffff:192.0.2.1`. */
export function formatIpv6(bytes: Uint8Array, offset: number): string {
  const groups: number[] = []
  for (let i = 0; i < 16; i += 2) groups.push(u16(bytes, offset + i))
  if (groups[5] === 0xffff && groups.slice(0, 5).every((group) => group === 0)) {
    return `::ffff:${formatIpv4(bytes, offset + 12)}`
  }
  const { start, len } = longestZeroRun(groups)
  const hex = groups.map((group) => group.toString(16))
  if (len < 2) return hex.join(':')
  return `${hex.slice(0, start).join(':')}::${hex.slice(start + len).join(':')}`
}

/** The first of the longest runs of zero groups (RFC 5952, 4.2.3). */
function longestZeroRun(groups: readonly number[]): { start: number; len: number } {
  const best = { start: 0, len: 0 }
  let len = 0
  groups.forEach((group, i) => {
    len = group === 0 ? len + 1 : 0
    if (len <= best.len) return
    best.start = i - len + 1
    best.len = len
  })
  return best
}

/** The 6 bytes at `offset` as `02:42:ac:11:00:03`. */
export function formatMac(bytes: Uint8Array, offset: number): string {
  const hex: string[] = []
  for (let i = 0; i < 6; i++) hex.push(bytes[offset + i].toString(16).padStart(2, '0'))
  return hex.join(':')
}

const PROTOCOLS: Readonly<Record<number, string>> = {
  1: 'icmp',
  2: 'igmp',
  4: 'ipip',
  6: 'tcp',
  17: 'udp',
  33: 'dccp',
  41: 'ipv6',
  47: 'gre',
  50: 'esp',
  51: 'ah',
  58: 'icmpv6',
  89: 'ospf',
  103: 'pim',
  112: 'vrrp',
  132: 'sctp',
  136: 'udplite',
}

/** Name of an IANA protocol number in small letters, or `ip-proto-N`. */
export function protocolName(protocol: number): string {
  return PROTOCOLS[protocol] ?? `ip-proto-${protocol}`
}

/**
 * Type and code of an ICMP error as `type` or `type/code`, in the words of RFC 792, RFC 1812 and RFC 4443.
 */
const ICMP_ERRORS: Readonly<Record<string, string>> = {
  '3/0': 'network unreachable',
  '3/1': 'host unreachable',
  '3/2': 'protocol unreachable',
  '3/3': 'port unreachable',
  '3/4': 'fragmentation needed',
  '3/5': 'source route failed',
  '3/6': 'destination network unknown',
  '3/7': 'destination host unknown',
  '3/8': 'source host isolated',
  '3/9': 'network administratively prohibited',
  '3/10': 'host administratively prohibited',
  '3/11': 'network unreachable for this type of service',
  '3/12': 'host unreachable for this type of service',
  '3/13': 'communication administratively prohibited',
  '3/14': 'host precedence violation',
  '3/15': 'precedence cutoff in effect',
  '3': 'destination unreachable',
  '4': 'source quench',
  '5': 'redirect',
  '11/0': 'time to live exceeded',
  '11/1': 'fragment reassembly time exceeded',
  '11': 'time exceeded',
  '12': 'parameter problem',
}

const ICMPV6_ERRORS: Readonly<Record<string, string>> = {
  '1/0': 'no route to destination',
  '1/1': 'communication administratively prohibited',
  '1/2': 'beyond scope of source address',
  '1/3': 'address unreachable',
  '1/4': 'port unreachable',
  '1/5': 'source address failed policy',
  '1/6': 'reject route to destination',
  '1': 'destination unreachable',
  '2': 'packet too big',
  '3/0': 'hop limit exceeded',
  '3/1': 'fragment reassembly time exceeded',
  '3': 'time exceeded',
  '4/0': 'erroneous header field',
  '4/1': 'unrecognized next header',
  '4/2': 'unrecognized option',
  '4': 'parameter problem',
}

/** An ICMP error in words (`port unreachable`); other messages as `icmp type N code N`. */
export function icmpErrorName(ipVersion: number, type: number, code: number): string {
  const names = ipVersion === 6 ? ICMPV6_ERRORS : ICMP_ERRORS
  const protocol = ipVersion === 6 ? 'icmpv6' : 'icmp'
  return names[`${type}/${code}`] ?? names[type] ?? `${protocol} type ${type} code ${code}`
}

const FLAG_LETTERS: readonly (readonly [number, string])[] = [
  [TcpFlag.Fin, 'F'],
  [TcpFlag.Syn, 'S'],
  [TcpFlag.Rst, 'R'],
  [TcpFlag.Psh, 'P'],
  [TcpFlag.Ack, '.'],
  [TcpFlag.Urg, 'U'],
  [TcpFlag.Ece, 'E'],
  [TcpFlag.Cwr, 'W'],
]

/** TCP flags in tcpdump's letters: `S`, `S.`, `P.`, `F.`, `R`, `SEW`; `none` where none is set. */
export function tcpFlagsText(flags: number): string {
  let text = ''
  for (const [flag, letter] of FLAG_LETTERS) if (flags & flag) text += letter
  return text || 'none'
}
