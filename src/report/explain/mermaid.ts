/** The explanation as a Mermaid sequence diagram: points are participants, hops are arrows, and notes say what changed. */

import { renderEnds } from '../endpoint.ts'
import { harmless } from '../harmless.ts'
import { pointName } from '../path-line.ts'
import type { Actor, ExplainedPacket, Explanation } from './model.ts'

const CHANGES: readonly Actor[] = ['router', 'netfilter', 'conntrack', 'tunnel', 'offload', 'unknown']
/** Characters of a note's line: boxes do not break long ones. */
const NOTE_CHARACTERS = 60

/** Renders the diagram as Mermaid reads it (https://mermaid.js.org/syntax/sequenceDiagram.html); ends with a newline. */
export function renderExplanationMermaid(explanation: Explanation): string {
  const { packets, flow, mappings } = explanation
  const points = participants(packets)
  const ids = new Map(points.map((point, i) => [point, `p${i + 1}`]))
  const lines = ['sequenceDiagram']
  for (const [point, id] of ids) lines.push(`  participant ${id} as ${plain(pointName(point))}`)
  for (const packet of packets) {
    const { stations, ending, purpose, summary } = packet
    const [first] = stations
    if (!first) continue
    const ends = renderEnds(first.src, first.dst, packet.number > 0 ? flow.protocol : '')
    lines.push(
      `  Note over ${ids.get(first.point)}: ${note([purpose, `${ends[0]} → ${ends[1]}`, `TTL ${ttlOf(first)}`])}`,
    )
    stations.slice(1).forEach((station, i) => {
      const before = stations[i]!
      const [from, to] = [ids.get(before.point), ids.get(station.point)]
      lines.push(`  ${from}->>${to}: ${plain(`${summary} TTL ${ttlOf(station)}`)}`)
      const changes = changesOf(station)
      const over =
        from === to
          ? from
          : points.indexOf(before.point) < points.indexOf(station.point)
            ? `${from},${to}`
            : `${to},${from}`
      if (changes.length > 0) lines.push(`  Note over ${over}: ${note(changes)}`)
    })
    const last = ids.get(stations.at(-1)!.point)
    const lost = ending.filter(({ actor }) => actor === 'lost').slice(0, 1)
    for (const { text } of lost) {
      lines.push(`  ${last}-x${last}: ${plain('lost')}`, `  Note over ${last}: ${note([text])}`)
    }
  }
  for (const { between, entry } of mappings) {
    const [a, b] = between.map((point) => ids.get(point))
    if (a && b) lines.push(`  Note over ${a === b ? a : `${a},${b}`}: ${note(['conntrack:', entry])}`)
  }
  return `${lines.join('\n')}\n`
}

/** All points, in the order of the longest way: the request's, where it is no shorter. */
function participants(packets: readonly ExplainedPacket[]): string[] {
  const ways = packets.map(({ stations }, i) => {
    const points = stations.map(({ point }) => point)
    return i === 0 ? points : points.reverse()
  })
  return [...new Set(ways.sort((a, b) => b.length - a.length).flat())]
}

/** Addresses, ports and TTL that changed, in short, and who did it. */
function changesOf({ layers, steps }: ExplainedPacket['stations'][number]): string[] {
  const actors = [...new Set(steps.map(({ actor }) => actor))].filter((actor) => CHANGES.includes(actor))
  if (actors.length === 0) return []
  const fields = layers
    .filter(({ name }) => !/Ethernet|cooked/.test(name))
    .flatMap(({ name, isNew, fields }) => [
      ...(isNew ? [`${name} (new)`] : []),
      ...fields
        .filter(({ isChanged, before }) => isChanged && before !== undefined)
        .filter(({ name: field }) => !/^(type|packet type|interface)$/.test(field))
        .map(({ name: field, before, value }) => `${name} ${field}: ${before} → ${value}`),
    ])
  return [actors.join(', '), ...fields]
}

function ttlOf({ layers }: ExplainedPacket['stations'][number]): string {
  const ip = layers.findLast(({ name }) => /IPv[46]$/.test(name) && !name.startsWith('quoted'))
  return ip?.fields.find(({ name }) => name === 'TTL' || name === 'hop limit')?.value ?? '?'
}

function note(parts: readonly string[]): string {
  return parts
    .flatMap((part) => broken(part))
    .map(plain)
    .join('<br/>')
}

/** Lines of a note, broken at spaces. */
function broken(text: string): string[] {
  const lines: string[] = []
  for (const word of harmless(text, 600).split(' ')) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + 1 + word.length <= NOTE_CHARACTERS)
      lines[lines.length - 1] = `${last} ${word}`
    else lines.push(word)
  }
  return lines
}

/** Text in which nothing is Mermaid's: what is not a letter, digit or harmless sign becomes a character reference. */
function plain(text: string): string {
  const safe = harmless(text, 600).replace(/[^\p{L}\p{N} .,→≠()_/-]/gu, (char) => `#${char.codePointAt(0)};`)
  // The only word that ends a block, and would end the diagram's.
  return safe.replace(/\bend\b/gi, (word) => `#${word.codePointAt(0)};${word.slice(1)}`)
}
