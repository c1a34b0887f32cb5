/** Glyphs: what a point is, as a small drawing on the wire. Beside each stands its name and kind in words. */

import type { JSX } from 'preact'
import type { NodeKind } from './path-model.ts'

const SHAPES: Readonly<Record<NodeKind, JSX.Element>> = {
  container: (
    <>
      <path class="body" d="M4 9 20 3l16 6v14l-16 6-16-6Z" />
      <path d="M4 9l16 6 16-6M20 15v14" />
    </>
  ),
  veth: (
    <>
      <rect class="body" x="9" y="7" width="22" height="18" rx="3" />
      <path d="M14 20v-6h3v-3h6v3h3v6M17 20v-3M20 20v-3M23 20v-3" />
    </>
  ),
  bridge: (
    <>
      <rect class="body" x="14" y="-3" width="12" height="38" rx="3" />
      <path d="M17 3h6M17 9h6M17 23h6M17 29h6" />
    </>
  ),
  uplink: (
    <>
      <rect class="body" x="6" y="5" width="28" height="22" rx="3" />
      <path d="M12 20h16M15 20v-8h10v8M20 12V9" />
    </>
  ),
  loopback: (
    <>
      <circle class="body" cx="20" cy="16" r="13" />
      <path d="M26 12a7 7 0 1 0 1 7M27 8v5h-5" />
    </>
  ),
  router: (
    <>
      <circle class="body" cx="20" cy="16" r="14" />
      <path d="M20 5v7M17 8l3-3 3 3M20 27v-7M17 24l3 3 3-3M9 16h6M12 13l3 3-3 3M31 16h-6M28 13l-3 3 3 3" />
    </>
  ),
  tunnel: (
    <>
      <path class="body" d="M8 5h24a5 11 0 0 1 0 22H8a5 11 0 0 1 0-22Z" />
      <ellipse cx="8" cy="16" rx="4.5" ry="11" />
    </>
  ),
  any: (
    <>
      <rect class="body" x="6" y="5" width="28" height="22" rx="3" stroke-dasharray="4 3" />
      <path d="M13 16h.1M20 16h.1M27 16h.1" stroke-width="4" stroke-linecap="round" />
    </>
  ),
  unknown: <circle class="body" cx="20" cy="16" r="8" />,
  proxy: (
    <>
      <rect class="body" x="6" y="5" width="28" height="22" rx="3" />
      <path d="M6 16h9M25 16h9M18 10v12M22 10v12" />
    </>
  ),
  end: (
    <path
      class="body"
      d="M12 26a7 7 0 0 1-1-13.9A9 9 0 0 1 28 10a8 8 0 0 1 1 16Z"
      stroke-dasharray="3.5 2.5"
    />
  ),
}

export function Glyph({ kind }: { kind: NodeKind }) {
  return (
    <svg class="glyph" viewBox="0 0 40 32" aria-hidden="true" focusable="false">
      {SHAPES[kind]}
    </svg>
  )
}
