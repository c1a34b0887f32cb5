/** Reads `conntrack -E -o timestamp,extended`: the kernel's own word on every translation. */

import { readFileSync } from 'node:fs'

export interface Tuple {
  src: { ip: string; port: number }
  dst: { ip: string; port: number }
}

export interface Connection {
  protocol: string
  /** The packet as it arrived, and as its reply is expected. */
  original: Tuple
  reply: Tuple
}

/** All connections that became known (`[NEW]`), each once, in the order of their events. */
export function readConntrack(file: string): Connection[] {
  const seen = new Map<string, Connection>()
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    const [, kind, protocol] = /\[(NEW|UPDATE|DESTROY)\]\s+ipv[46]\s+\d+\s+(\w+)/.exec(line) ?? []
    if (kind !== 'NEW') continue
    const fields = [...line.matchAll(/\b(src|dst|sport|dport|id)=(\S+)/g)].map(([, key, value]) => [
      key!,
      value!,
    ])
    const half = fields.findIndex(([key], i) => key === 'src' && i > 0)
    const connection = {
      protocol: protocol!,
      original: tupleOf(Object.fromEntries(fields.slice(0, half))),
      reply: tupleOf(Object.fromEntries(fields.slice(half))),
    }
    const name = JSON.stringify(connection)
    if (!seen.has(name)) seen.set(name, connection)
  }
  return [...seen.values()]
}

function tupleOf(fields: Record<string, string>): Tuple {
  const port = (key: string) => Number(fields[key] ?? fields.id)
  return {
    src: { ip: fields.src!, port: port('sport') },
    dst: { ip: fields.dst!, port: port('dport') },
  }
}

/** What the NAT did to the connection's first packet. */
export function natOf({ protocol, original, reply }: Connection) {
  const isEcho = protocol.startsWith('icmp')
  const list: { kind: 'snat' | 'dnat'; from: Tuple['src']; to: Tuple['src'] }[] = []
  const differs = (a: Tuple['src'], b: Tuple['src'], withPort: boolean) =>
    a.ip !== b.ip || (withPort && a.port !== b.port)
  if (differs(original.src, reply.dst, true)) list.push({ kind: 'snat', from: original.src, to: reply.dst })
  if (differs(original.dst, reply.src, !isEcho))
    list.push({ kind: 'dnat', from: original.dst, to: reply.src })
  return list
}
