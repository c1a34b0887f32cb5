/** Translations: what NAT made of a flow's addresses, read from its stations one after the other. */

import type { Endpoint, Station, Translation } from './joined-flow.ts'

/**
 * Rewrites of the forward packet from station to station, and one in front of the first that only the replies show.
 * An echo's identifier counts as the source's: it stands at both ends.
 */
export function translations(
  forward: readonly Station[],
  reverse: readonly Station[],
  together: readonly ReadonlySet<number>[],
  hasOneId: boolean,
): Translation[] {
  const list: Translation[] = []
  const add = (kind: 'snat' | 'dnat', a: Station, b: Station, from: Endpoint, to: Endpoint) => {
    const samePort = from.port === to.port || (hasOneId && kind === 'dnat')
    if (from.ip !== to.ip || !samePort) list.push({ kind, between: [a.point, b.point], from, to })
  }
  const first = forward[0]
  const answered = reverse.at(-1)
  // Answers from where the requests are sent on to were merely not translated back.
  const isSentOn = forward.some(({ dst }) => dst.ip === answered?.src.ip && dst.port === answered.src.port)
  if (first && answered && first.point === answered.point && !isSentOn)
    add('dnat', first, first, answered.src, first.dst)
  for (let i = 1; i < forward.length; i++) {
    // Not simply the station in front of it: a mapping that was renewed makes two stations that no packet passed both.
    let before = i - 1
    while (before >= 0 && !together[i]!.has(before)) before--
    if (before < 0) continue
    const [a, b] = [forward[before]!, forward[i]!]
    add('snat', a, b, a.src, b.src)
    add('dnat', a, b, a.dst, b.dst)
  }
  return list
}

/** Points of two stations that some packet passed both, in the same family: a translator's interface shows both families. */
export function passedTwice(path: readonly Station[], together: readonly ReadonlySet<number>[]): string[] {
  const twice = path.filter(({ point }, i) =>
    path.some(
      (other, j) => j < i && other.point === point && together[i]!.has(j) && isSameFamily(other, path[i]!),
    ),
  )
  return [...new Set(twice.map(({ point }) => point))]
}

function isSameFamily(a: Station, b: Station): boolean {
  return isIpv6(a) === isIpv6(b)
}

function isIpv6({ src }: Station): boolean {
  return src.ip.includes(':')
}
