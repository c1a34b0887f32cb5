/** Tunnels in words: what a packet enters or leaves between two stations. */

import type { Encapsulation, Station } from './model.ts'

type Encapsulated = Pick<Station, 'encapsulation'>

const NAMES: Readonly<Record<Encapsulation['kind'], string>> = {
  vxlan: 'VXLAN',
  geneve: 'Geneve',
  gre: 'GRE',
  ipip: 'IP in IP',
  gtpu: 'GTP-U',
}

/** `VXLAN 4097`. */
export function tunnelName({ kind, id }: Encapsulation): string {
  // What comes from JSON may have any kind.
  const name = NAMES[kind] ?? String(kind)
  return id === 0 ? name : `${name} ${id}`
}

/** The tunnels that are around the packet behind the step and not in front of it, outermost first, and the other way round. */
export function tunnelSteps(
  { encapsulation: before = [] }: Encapsulated,
  { encapsulation: after = [] }: Encapsulated,
): { entered: Encapsulation[]; left: Encapsulation[] } {
  // Tunnels are put on and taken off from outside: what both have is innermost.
  let common = 0
  while (
    common < Math.min(before.length, after.length) &&
    isSame(before.at(-1 - common)!, after.at(-1 - common)!)
  )
    common++
  return {
    entered: after.slice(0, after.length - common),
    left: before.slice(0, before.length - common),
  }
}

/** `into VXLAN 4097`, `out of VXLAN 4097`. */
export function tunnelTexts(before: Encapsulated, after: Encapsulated): string[] {
  const { entered, left } = tunnelSteps(before, after)
  return [
    ...left.map((tunnel) => `out of ${tunnelName(tunnel)}`),
    ...entered.map((tunnel) => `into ${tunnelName(tunnel)}`),
  ]
}

function isSame(a: Encapsulation, b: Encapsulation): boolean {
  return a.kind === b.kind && a.id === b.id && a.src === b.src && a.dst === b.dst
}
