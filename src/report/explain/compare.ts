/** Comparing: the layers of a frame with those of the station before, field by field; marks what is new and what changed. */

import type { Envelope, Field, Frame, Layer } from './layers.ts'
import type { ExplainedField, ExplainedLayer, ExplainedStation } from './model.ts'

/** The innermost envelope: the packet that is followed. */
export function innermost(frame: Frame): Envelope {
  return frame.envelopes.at(-1)!
}

/** The layers of `frame`, compared with those of `before`, or with nothing at the first station. */
export function comparedLayers(frame: Frame, before: Frame | null): ExplainedLayer[] {
  const depth = frame.envelopes.length
  const layers = frame.envelopes.flatMap((envelope, i) => {
    // Tunnels are put on and taken off from outside: what both have is innermost.
    const old = before?.envelopes.at(i - depth)
    const isAdded = before !== null && old === undefined
    const role = depth === 1 ? '' : i === depth - 1 ? 'inner ' : 'outer '
    return compareLists(envelope.layers, old?.layers ?? [], role, before !== null, isAdded)
  })
  return [...layers, ...compareLists(frame.quoted, before?.quoted ?? [], 'quoted ', before !== null, false)]
}

/** Every field that changed: `[layer, field]`. */
export function changedFields(layers: readonly ExplainedLayer[]): [ExplainedLayer, ExplainedField][] {
  return layers.flatMap((layer) =>
    layer.fields
      .filter(({ isChanged }) => isChanged)
      .map((field): [ExplainedLayer, ExplainedField] => [layer, field]),
  )
}

/** Is every field of every header what it was at the station before? */
export function isAsBefore({ layers }: ExplainedStation, before: ExplainedStation): boolean {
  return (
    layers.length === before.layers.length &&
    layers.every(({ isNew, fields }, i) => {
      const old = before.layers[i]!.fields
      return !isNew && fields.length === old.length && fields.every(({ isChanged }) => !isChanged)
    })
  )
}

function compareLists(
  layers: readonly Layer[],
  old: readonly Layer[],
  role: string,
  hasBefore: boolean,
  isAdded: boolean,
): ExplainedLayer[] {
  return layers.map(({ kind, fields }) => {
    const was = old.find((layer) => layer.kind === kind)
    return {
      name: /^(Ethernet|Linux cooked|IPv4|IPv6|TCP|UDP|ICMP|ICMPv6)$/.test(kind) ? role + kind : kind,
      isNew: isAdded || (hasBefore && was === undefined),
      fields: fields.map((field, i) => comparedField(field, i, fields, was)),
    }
  })
}

function comparedField(
  { name, value, note }: Field,
  index: number,
  fields: readonly Field[],
  was: Layer | undefined,
): ExplainedField {
  // Of several fields of one name (VLAN tags) the first belongs to the first.
  const nth = fields.slice(0, index).filter((field) => field.name === name).length
  const old = was?.fields.filter((field) => field.name === name)[nth]
  const isChanged = was !== undefined && old?.value !== value
  return {
    name,
    value,
    isChanged,
    ...(isChanged && old ? { before: old.value } : {}),
    ...(note === undefined || note === '' ? {} : { note }),
  }
}
