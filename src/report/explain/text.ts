/** The explanation for a terminal: stations with their header fields, and between them who did what, why, and what follows for the reply. */

import { renderEnds } from '../endpoint.ts'
import { harmless, harmlessCopy } from '../harmless.ts'
import { type Palette, paletteFor } from '../palette.ts'
import { arrow, pointName } from '../path-line.ts'
import { formatDurationNs } from '../quantities.ts'
import { MIN_COLUMNS } from '../text.ts'
import { displayWidth, padToWidth, wrapText } from '../width.ts'
import { isAsBefore } from './compare.ts'
import type {
  ExplainedField,
  ExplainedLayer,
  ExplainedPacket,
  ExplainedStation,
  Explanation,
  Step,
} from './model.ts'
import { namespaceText } from './places.ts'

export interface ExplainTextOptions {
  columns: number
  color: boolean
  /** List all fields at stations where nothing changed as well. */
  all?: boolean
}

const LAYER_COLUMNS = 9
const NAME_COLUMNS = 17
const VALUE_COLUMNS = 18
/** Fields stand behind the sign of a change. */
const FIELD_INDENT = 2

/** Renders the whole explanation, with a newline at the end. */
export function renderExplanation(explanation: Explanation, options: ExplainTextOptions): string {
  const screen = new ExplainScreen(options)
  const { packets } = explanation
  const lines = screen.title(explanation)
  for (const packet of packets) {
    lines.push('', ...screen.packetTitle(packet, explanation))
    packet.stations.forEach((station, i) => {
      lines.push('', ...screen.station(station, i, packet.stations[i - 1]))
    })
    lines.push(...screen.ending(packet))
  }
  lines.push(...screen.mappings(explanation))
  return `${lines.join('\n')}\n`
}

/** The pieces of the explanation as lines of at most `columns` cells; the quiz shows them one after the other. */
export class ExplainScreen {
  readonly columns: number
  readonly palette: Palette
  readonly #all: boolean
  /** What was said already, and need not be said at length again. */
  readonly #told = new Set<string>()

  constructor({ columns, color, all = false }: ExplainTextOptions) {
    this.columns = Math.max(MIN_COLUMNS, columns)
    this.palette = paletteFor(color)
    this.#all = all
  }

  title({ flow }: Explanation): string[] {
    const { id, protocol, client, server, names } = harmlessCopy(flow)
    const [from, to] = renderEnds(client, server, protocol)
    const known = Object.entries(names).map(([address, name]) => `${address} is ${name}`)
    return [
      ...this.#wrap(`${this.palette.heading(`Flow ${id}`)}  ${protocol}  ${from} → ${to}`, '  '),
      ...(known.length > 0 ? this.#wrap(known.join(' · '), '  ') : []),
    ]
  }

  packetTitle(packet: ExplainedPacket, { flow }: Explanation): string[] {
    const { number, direction, summary, purpose } = packet
    const what = number > 0 ? `Packet ${number} of ${flow.packets}` : 'ICMP error'
    return [
      ...this.#wrap(`${this.palette.heading(`${arrow(direction)} ${what}`)}  ${harmless(summary)}`, '  '),
      ...this.#wrap(`  ${harmless(purpose)}`, '  '),
    ]
  }

  /** The steps that lead to a station, its title, and its fields. */
  station(station: ExplainedStation, index: number, before: ExplainedStation | undefined): string[] {
    const steps = station.steps.flatMap((step) => this.#step(step))
    const rail = before ? [...steps, this.palette.faint('  ▼')] : []
    return [
      ...rail,
      ...this.stationTitle(station, index),
      ...this.fields(station, before),
      ...(before ? [] : steps),
    ]
  }

  stationTitle({ point, frames, where, afterNs }: ExplainedStation, index: number): string[] {
    const few = frames.slice(0, 4).join(' ') + (frames.length > 4 ? ` … (${frames.length})` : '')
    const facts = [
      `frame${frames.length === 1 ? '' : 's'} ${few}`,
      ...(afterNs === null || index === 0 ? [] : [`${afterNs < 0 ? '' : '+'}${formatDurationNs(afterNs)}`]),
      `namespace: ${namespaceText(where)}`,
    ]
    const head = `${index + 1} ${pointName(point)}`
    const [first, ...rest] = wrapText(`${head}  ${facts.join(' · ')}`, this.columns, '    ')
    return [
      this.palette.heading(head) + this.palette.faint(first!.slice(head.length)),
      ...rest.map(this.palette.faint),
    ]
  }

  fields(station: ExplainedStation, before: ExplainedStation | undefined): string[] {
    const { layers, moreFrames } = station
    if (before && !this.#all && isAsBefore(station, before))
      return this.#wrap(`    every field as at ${pointName(before.point)}`, '    ').map(this.palette.faint)
    return [
      ...layers.flatMap((layer) => this.#layer(layer)),
      ...moreFrames.flatMap((line) => this.#wrap(`    ${harmless(line)}`, '      ')),
    ]
  }

  ending({ ending }: ExplainedPacket): string[] {
    return ending.flatMap((step) => this.#step(step))
  }

  mappings({ mappings }: Explanation): string[] {
    if (mappings.length === 0) return []
    const { heading, faint, change } = this.palette
    const lines = ['', heading('What connection tracking remembers')]
    for (const { between, entry, text, knownFrom } of mappings) {
      const [a, b] = between.map(pointName) as [string, string]
      const place = a === b ? `before ${a}` : `between ${a} and ${b}`
      const source =
        knownFrom === 'receipts'
          ? 'the kernel’s own entry, at the end of the capture'
          : 'derived from the frames'
      lines.push(...this.#wrap(`  ${place} (${source})`, '    ').map(faint))
      lines.push(...this.#wrap(`    ${harmless(entry)}`, '      ').map(change))
      lines.push(...this.#wrap(`    ${harmless(text)}`, '    '))
    }
    return lines
  }

  #layer({ name, isNew, fields }: ExplainedLayer): string[] {
    const lines: string[] = []
    const title = `${harmless(name)}${isNew ? ' (new)' : ''}`
    // A long name has a line of its own.
    const isLong = displayWidth(title) > LAYER_COLUMNS
    if (isLong) lines.push(`  ${isNew ? this.palette.change(`+ ${title}`) : `  ${title}`}`)
    fields.forEach((field, i) => {
      lines.push(...this.#field(field, i === 0 && !isLong ? title : '', isNew))
    })
    return lines
  }

  #field({ name, value, isChanged, before, note }: ExplainedField, layer: string, isNew: boolean): string[] {
    const sign = isChanged ? '≠' : isNew ? '+' : ' '
    const head = `${' '.repeat(FIELD_INDENT)}${sign} ${padToWidth(layer, LAYER_COLUMNS)} ${padToWidth(name, NAME_COLUMNS)} `
    const notes = [
      isChanged && before !== undefined ? `was ${harmless(before)}` : '',
      note ? harmless(note) : '',
    ]
    const tail = notes.filter((it) => it !== '').join('; ')
    const shown = harmless(value)
    const plain = `${head}${tail === '' ? shown : `${padToWidth(shown, VALUE_COLUMNS)}  ${tail}`}`
    const indent = ' '.repeat(displayWidth(head))
    const lines =
      displayWidth(plain) <= this.columns
        ? [plain]
        : [`${head}${shown}`, ...(tail === '' ? [] : [`${indent}${tail}`])].flatMap((line) =>
            wrapText(line, this.columns, indent),
          )
    return isChanged || isNew ? lines.map(this.palette.change) : lines
  }

  #step({ actor, text }: Step): string[] {
    const paint =
      actor === 'lost'
        ? this.palette.error
        : actor === 'sender' || actor === 'receiver'
          ? this.palette.info
          : this.palette.warning
    const head = `  │ ${actor === 'lost' ? '✗' : '·'} ${actor}`
    const short = `${text.replace(/[,:.;] .*$/s, '')} (as above).`
    const said = this.#told.has(text) && short.length < text.length ? short : text
    this.#told.add(text)
    const lines = wrapText(`${head}: ${harmless(said, 1000)}`, this.columns, '  │   ')
    return lines.map((line, i) => (i === 0 ? paint(head) + line.slice(head.length) : line))
  }

  #wrap(text: string, indent: string): string[] {
    return wrapText(text, this.columns, indent)
  }
}
