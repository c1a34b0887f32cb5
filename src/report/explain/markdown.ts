/** The explanation as Markdown: a section a packet, a table a station, and sentences in between; nothing foreign is markup. */

import { renderEnds } from '../endpoint.ts'
import { harmless } from '../harmless.ts'
import { arrow, pointName } from '../path-line.ts'
import { formatDurationNs } from '../quantities.ts'
import { isAsBefore } from './compare.ts'
import type { ExplainedStation, Explanation, Step } from './model.ts'

/** Renders the explanation; ends with a newline. */
export function renderExplanationMarkdown({ flow, packets, mappings }: Explanation): string {
  const [client, server] = renderEnds(flow.client, flow.server, flow.protocol)
  const lines = [`# Flow ${flow.id}: ${plain(flow.protocol)} ${plain(client)} → ${plain(server)}`]
  for (const [address, name] of Object.entries(flow.names))
    lines.push('', `${plain(address)} is ${plain(name)}.`)
  for (const { number, direction, summary, purpose, stations, ending } of packets) {
    const what = number > 0 ? `Packet ${number} of ${flow.packets}` : 'ICMP error'
    lines.push('', `## ${arrow(direction)} ${what}: ${plain(summary)}`, '', plain(purpose))
    stations.forEach((station, i) => {
      const before = stations[i - 1]
      if (before)
        lines.push(
          '',
          `**${plain(pointName(before.point))} → ${plain(pointName(station.point))}**`,
          '',
          ...steps(station.steps),
        )
      lines.push('', ...stationLines(station, i, before))
      if (i === 0) lines.push('', ...steps(station.steps))
    })
    lines.push('', ...steps(ending))
  }
  if (mappings.length > 0) lines.push('', '## What connection tracking remembers')
  for (const { between, entry, text } of mappings) {
    const [a, b] = between.map((point) => plain(pointName(point))) as [string, string]
    const place = a === b ? `Before ${a}` : `Between ${a} and ${b}`
    // Behind four spaces nothing is markup.
    lines.push('', `${place}:`, '', `    ${harmless(entry)}`, '', plain(text))
  }
  return `${lines.join('\n')}\n`
}

function stationLines(
  station: ExplainedStation,
  index: number,
  before: ExplainedStation | undefined,
): string[] {
  const { point, frames, where, afterNs, layers, moreFrames } = station
  const time = afterNs === null || index === 0 ? '' : `, ${formatDurationNs(afterNs)} later`
  const lines = [
    `### ${index + 1}. ${plain(pointName(point))}`,
    '',
    `Frame ${frames.slice(0, 8).join(' ')}${time}; namespace: ${plain(where.namespace)}.`,
    '',
  ]
  if (before && isAsBefore(station, before))
    return [...lines, `Every field as at ${plain(pointName(before.point))}.`]
  lines.push('| header | field | value | before | note |', '|---|---|---|---|---|')
  for (const { name, isNew, fields } of layers)
    fields.forEach((field, i) => {
      const value = plain(field.value)
      const shown = field.isChanged || isNew ? `**${value}**` : value
      const header = i === 0 ? `${plain(name)}${isNew ? ' (new)' : ''}` : ''
      const sign = field.isChanged ? '≠ ' : ''
      lines.push(
        `| ${header} | ${sign}${field.name} | ${shown} | ${plain(field.before ?? '')} | ${plain(field.note ?? '')} |`,
      )
    })
  if (moreFrames.length > 0) lines.push('', ...moreFrames.map((line) => `- ${plain(line)}`))
  return lines
}

function steps(all: readonly Step[]): string[] {
  return all.map(({ actor, text }) => `- **${actor}**: ${plain(text)}`)
}

/** Text that Markdown, with tables and links that make themselves, leaves as it is. */
function plain(text: string): string {
  return harmless(text, 1000)
    .replace(/[\\`*_[\]<>|#&~$!]/g, '\\$&')
    .replace(/:\/\//g, '\\://')
    .replace(/www\./gi, (www) => `${www.slice(0, -1)}\\.`)
}
