/** The discovered topology as one JSON document, `hoptrace.points/1`: a line for the host and for each container. */

import type { Topology } from '../topology/topology.ts'
import { harmlessJson } from './harmless.ts'

/** Renders the document with a newline at the end; the fields are those of `Topology`. */
export function renderPointsJson({ host, containers, notes }: Topology): string {
  const fields = [
    ['schema', toJson('hoptrace.points/1')],
    ['host', toJson(host)],
    ['containers', listOf(containers)],
    ['notes', listOf(notes)],
  ]
  return `{\n${fields.map(([key, json]) => `"${key}": ${json}`).join(',\n')}\n}\n`
}

function listOf(values: readonly unknown[]): string {
  return values.length === 0 ? '[]' : `[\n  ${values.map(toJson).join(',\n  ')}\n]`
}

function toJson(value: unknown): string {
  return harmlessJson(JSON.stringify(value))
}
