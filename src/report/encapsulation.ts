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
  const name = Object.hasOwn(NAMES, kind) ? NAMES[kind] : String(kind)
  return id === 0 ? name : `${name} ${id}`
}

/** What happens to the tunnels around a packet between two stations, each list in the order in which it happens. */
export interface TunnelSteps {
  left: Encapsulation[]
  entered: Encapsulation[]
  /** The same tunnels with other outer addresses: NAT on the way, or out of one and into the next of the same network. */
  readdressed: Encapsulation[]
}

/** Compares the tunnels of two stations. */
export function tunnelSteps(
  { encapsulation: before = [] }: Encapsulated,
  { encapsulation: after = [] }: Encapsulated,
): TunnelSteps {
  // Tunnels are put on and taken off from outside: what both have is innermost.
  const readdressed: Encapsulation[] = []
  let common = 0
  for (; common < Math.min(before.length, after.length); common++) {
    const [a, b] = [before.at(-1 - common)!, after.at(-1 - common)!]
    if (a.kind !== b.kind || a.id !== b.id) break
    if (a.src !== b.src || a.dst !== b.dst) readdressed.push(b)
  }
  return {
    left: before.slice(0, before.length - common),
    entered: after.slice(0, after.length - common).reverse(),
    readdressed,
  }
}

/** `into VXLAN 4097`, `out of VXLAN 4097`. */
export function tunnelTexts(before: Encapsulated, after: Encapsulated): string[] {
  const { left, entered, readdressed } = tunnelSteps(before, after)
  return [
    ...left.map((tunnel) => `out of ${tunnelName(tunnel)}`),
    ...readdressed.map((tunnel) => `${tunnelName(tunnel)} readdressed`),
    ...entered.map((tunnel) => `into ${tunnelName(tunnel)}`),
  ]
}
