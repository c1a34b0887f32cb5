/**
 * The process that makes an HTML report of what a live capture has kept so far: a task on stdin, the page on stdout. It
 * works in a folder of its own, which whoever started it removes.
 */

import { createReadStream, createWriteStream } from 'node:fs'
import { basename } from 'node:path'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { analyzeInputs } from '../analysis.ts'
import { resolveInputs } from '../capture/inputs.ts'
import type { UdpTunnel } from '../decode/udp-tunnels.ts'
import { ReportPage } from '../page/html-report.ts'
import { selectForPage } from '../page/selection.ts'
import { filterBy } from '../report/filter.ts'
import { parseFilterExpression } from '../report/filter-expression.ts'
import type { KeptPart } from './downloads.ts'

export interface HtmlTask {
  parts: readonly KeptPart[]
  tunnelPorts?: [number, UdpTunnel][]
  filter?: string
}

const { parts, ...options } = JSON.parse(await text(process.stdin)) as HtmlTask
// Whoever asked has gone.
process.stdout.on('error', () => process.exit(1))
const names = await copied(parts)
const resolved = await resolveInputs(names)
const tunnelPorts = options.tunnelPorts && new Map(options.tunnelPorts)
const analysis = await analyzeInputs(resolved, { journeys: true, tunnelPorts })
const { filter } = options
const expression = filter === undefined ? undefined : { text: filter, matches: parseFilterExpression(filter) }
const selected = selectForPage(analysis.streamed, filterBy(expression))
const page = new ReportPage(selected, { title: names.join(' '), tunnelPorts })
for (const journey of analysis.journeys()) page.take(journey)
for await (const piece of page.pieces(resolved.inputs))
  if (!process.stdout.write(piece)) await new Promise((resolve) => process.stdout.once('drain', resolve))

/** The files are read twice and must not grow meanwhile. In this folder, their names are all that the page tells. */
async function copied(files: readonly KeptPart[]): Promise<string[]> {
  const paths: string[] = []
  for (const { path, lenBytes } of files) {
    if (lenBytes === 0) continue
    const copy = basename(path)
    await pipeline(createReadStream(path, { end: lenBytes - 1 }), createWriteStream(copy))
    paths.push(copy)
  }
  return paths
}
