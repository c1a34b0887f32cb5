/** Which layer of one frame is which of another: tunnels are put on from outside, so layers are counted from the innermost packet. */

import type { Frame, Layer } from '../../explain/layers.ts'

export interface KeyedLayer {
  /** The same at every point: `0 IPv4` innermost, `1 IPv4` around it, `quoted IPv4`. */
  key: string
  layer: Layer
  /** How many packets are inside of this one; -1 where it is quoted. */
  depth: number
}

/** All layers of a frame, in the order of its bytes; the same order as `ExplainedStation.layers`. */
export function keyedLayers({ envelopes, quoted }: Frame): KeyedLayer[] {
  const keyed = envelopes.flatMap(({ layers }, i) => {
    const depth = envelopes.length - 1 - i
    return layers.map((layer) => ({ key: `${depth} ${layer.kind}`, layer, depth }))
  })
  return [...keyed, ...quoted.map((layer) => ({ key: `quoted ${layer.kind}`, layer, depth: -1 }))]
}
