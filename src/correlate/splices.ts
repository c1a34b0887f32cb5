/** Splices: pairs of TCP connections that are the two halves of one exchange through a proxy, as payload and time say. */

import { finish, mix } from './columns.ts'
import type { Correlator } from './correlator.ts'
import { type DirectionIndex, type FlowIndex, Seen } from './flows.ts'
import { Protocol } from './identity.ts'
import { Sender, START_BYTES, Start } from './stream-starts.ts'

/** A proxy opens its own connection so soon after it was given one, in ns. */
const OPENING_NS = 1e9
/** Points of one host may tell the order of two packets wrong by so much, in ns. */
const DISORDER_NS = 50e3
/** Less payload than this, in both directions together, is too common to mean anything. */
const LEAST_BYTES = 16
/** Connections with the same payload that begin while a proxy could have opened its own: more can't be told apart. */
const MAX_RIVALS = 256
/** Connections with the same payload, at any time, that are looked at. */
const MAX_EQUAL = 100_000

/** What of a flow is needed here: see `Ways`. */
type TcpWays = { flow: FlowIndex; forward: DirectionIndex; way: [number[], number[]] }

/** How sure it is that both connections have an end at one machine: it has the same address or MAC, or could well be. */
const Evidence = { None: 0, Possible: 1, Same: 2 } as const
type Evidence = (typeof Evidence)[keyof typeof Evidence]
type Candidate = { client: TcpWays; server: TcpWays; evidence: Evidence }

/** Two flows that a proxy stands between. */
export interface Splice {
  /** client → proxy, and proxy → server. */
  client: FlowIndex
  server: FlowIndex
  /** Payload bytes that were compared, requests first. */
  bytes: [number, number]
  /** From one SYN to the other. */
  betweenSynsNs: number
}

/**
 * Finds the pairs among these flows. Where several connections with the same payload would fit, none is taken: a pair
 * that is told has no rival on either side.
 */
export function findSplices(
  correlator: Correlator,
  flows: Iterable<FlowIndex>,
  waysOf: (flow: FlowIndex) => TcpWays,
): Splice[] {
  const pairs = new SplicePairs(correlator)
  return groupsOfEqual(correlator, flows)
    .flatMap((group) => (group.length > MAX_EQUAL ? [] : pairs.among(group.map(waysOf))))
    .sort((a, b) => a.client - b.client)
}

class SplicePairs {
  readonly #correlator: Correlator

  constructor(correlator: Correlator) {
    this.#correlator = correlator
  }

  among(group: readonly TcpWays[]): Splice[] {
    const { firstNs } = this.#correlator.flows
    const synNs = ({ forward }: TcpWays) => firstNs[forward]!
    const byTime = [...group].sort((a, b) => synNs(a) - synNs(b))
    const rivals = new Map<TcpWays, Candidate[]>()
    let from = 0
    for (const client of byTime) {
      while (synNs(byTime[from]!) < synNs(client) - DISORDER_NS) from++
      const untilNs = this.#latestOpening(client)
      for (let i = from; i < byTime.length && synNs(byTime[i]!) <= untilNs; i++) {
        if (i - from > MAX_RIVALS) return []
        const server = byTime[i]!
        const evidence = this.#evidenceOf(client, server)
        if (evidence === Evidence.None) continue
        const some = rivals.get(server)
        if (some) some.push({ client, server, evidence })
        else rivals.set(server, [{ client, server, evidence }])
      }
    }
    const candidates = [...rivals.values()].flatMap((some) => {
      const best = Math.max(...some.map(({ evidence }) => evidence))
      return some.filter(({ evidence }) => evidence === best)
    })
    const isOnly = (side: 'client' | 'server') => {
      const counts = new Map<TcpWays, number>()
      for (const it of candidates) counts.set(it[side], (counts.get(it[side]) ?? 0) + 1)
      return (it: Candidate) => counts.get(it[side]) === 1
    }
    return candidates
      .filter(isOnly('client'))
      .filter(isOnly('server'))
      .map(({ client, server }) => ({
        client: client.flow,
        server: server.flow,
        bytes: [this.#taken(client.forward), this.#taken(client.forward ^ 1)],
        betweenSynsNs: synNs(server) - synNs(client),
      }))
  }

  /** A proxy that has answered must have had a connection to its server by then. */
  #latestOpening({ forward }: TcpWays): number {
    const { firstNs, starts } = this.#correlator.flows
    return Math.min(firstNs[forward ^ 1]! + OPENING_NS, starts.dataNs.get(forward ^ 1) + DISORDER_NS)
  }

  #taken(direction: DirectionIndex): number {
    return this.#correlator.flows.starts.taken(direction)
  }

  #evidenceOf(client: TcpWays, server: TcpWays): Evidence {
    const [a, b] = [client.forward, server.forward]
    const isLikeOne =
      client !== server &&
      this.#isWithin(a, b) &&
      this.#haveSamePayload(a, b) &&
      this.#conserves(b, a) &&
      this.#conserves(a ^ 1, b ^ 1)
    return isLikeOne ? this.#machineOf(client, server) : Evidence.None
  }

  /** Does each step of the inner connection come between those of the outer one that it follows from and leads to? */
  #isWithin(a: DirectionIndex, b: DirectionIndex): boolean {
    const { firstNs, starts } = this.#correlator.flows
    const { dataNs } = starts
    return (
      firstNs[b]! >= firstNs[a ^ 1]! - DISORDER_NS &&
      dataNs.get(b) >= dataNs.get(a) - DISORDER_NS &&
      dataNs.get(b ^ 1) <= dataNs.get(a ^ 1) + DISORDER_NS
    )
  }

  #haveSamePayload(a: DirectionIndex, b: DirectionIndex): boolean {
    const { hash, isn } = this.#correlator.flows.starts
    // The same initial sequence numbers on both sides are one connection, that could not be joined.
    if (isn[a] === isn[b] && isn[a ^ 1] === isn[b ^ 1]) return false
    return [0, 1].every(
      (side) => this.#taken(a ^ side) === this.#taken(b ^ side) && hash.get(a ^ side) === hash.get(b ^ side),
    )
  }

  /** Did no more leave the proxy by `to` than came to it by `from`, and all of it where both have ended? */
  #conserves(to: DirectionIndex, from: DirectionIndex): boolean {
    const { seen } = this.#correlator.flows
    const [left, came] = [streamLength(this.#correlator, to), streamLength(this.#correlator, from)]
    const haveEnded = (seen[to]! & seen[from]! & Seen.Fin) !== 0
    const wasCutOff = ((seen[to]! | seen[from]! | seen[to ^ 1]! | seen[from ^ 1]!) & Seen.Rst) !== 0
    return haveEnded && !wasCutOff ? left === came : left <= came
  }

  /** What speaks for it that the one connection's server is the machine of the other one's client. */
  #machineOf(client: TcpWays, server: TcpWays): Evidence {
    const { legs, addresses, flows } = this.#correlator
    const [nearest, farthest] = [client.way[0][0], client.way[0].at(-1)]
    const origin = server.way[0][0]
    if (nearest === undefined || farthest === undefined || origin === undefined) return Evidence.None
    const proxy = legs.destination[farthest]!
    const opener = legs.source[origin]!
    const { sender } = flows.starts
    const [asking, answering] = [sender[client.forward]!, sender[client.forward ^ 1]!]
    const [opening, serving] = [sender[server.forward]!, sender[server.forward ^ 1]!]
    // A client that asks twice, of one server or of two, looks the same.
    if (legs.source[nearest] === opener || areOneMachine(asking, opening)) return Evidence.None
    if (areOneMachine(answering, serving)) return Evidence.None
    if (proxy === opener || areOneMachine(answering, opening)) return Evidence.Same
    if (answering === Sender.Elsewhere || opening === Sender.Elsewhere) return Evidence.None
    // docker-proxy's two uses: what is asked for on lo, and over IPv6 of a container that has none.
    const isItsUse = addresses.isLoopback(proxy) || addresses.version(proxy) > addresses.version(opener)
    return isItsUse ? Evidence.Possible : Evidence.None
  }
}

/** Does the same MAC address stand for both, at the point where they were seen first? */
function areOneMachine(a: number, b: number): boolean {
  return a === b && a !== Sender.Elsewhere && a !== Sender.Unnamed
}

/** Flows whose starts are known in full, in groups that look equal by their hashes. */
function groupsOfEqual(correlator: Correlator, all: Iterable<FlowIndex>): FlowIndex[][] {
  const { flows } = correlator
  const { starts } = flows
  const keyOf = (flow: FlowIndex) => {
    const forward = flows.forwardOf(flow)
    return finish(mix(mix(starts.taken(forward), starts.hash.get(forward)), starts.hash.get(forward ^ 1)))
  }
  const known: FlowIndex[] = []
  for (const flow of all)
    if (flows.protocol[flow] === Protocol.Tcp && isKnown(correlator, flows.forwardOf(flow))) known.push(flow)
  // Of a million connections most are like no other: these should cost a byte, and not a list.
  let size = 1024
  while (size < 4 * known.length) size *= 2
  const counts = new Uint8Array(size)
  for (const flow of known) {
    const at = keyOf(flow) % size
    if (counts[at]! < 2) counts[at]!++
  }
  const groups = new Map<number, FlowIndex[]>()
  for (const flow of known) {
    const key = keyOf(flow)
    if (counts[key % size]! < 2) continue
    const group = groups.get(key)
    if (group) group.push(flow)
    else groups.set(key, [flow])
  }
  return [...groups.values()].filter((group) => group.length > 1)
}

/** Are the first bytes of both directions known without a gap, and enough of them? */
function isKnown(correlator: Correlator, forward: DirectionIndex): boolean {
  const { starts } = correlator.flows
  for (const direction of [forward, forward ^ 1]) {
    const taken = starts.taken(direction)
    if (starts.state[direction] !== Start.Known || taken === 0) return false
    if (taken < Math.min(START_BYTES, streamLength(correlator, direction))) return false
  }
  return starts.taken(forward) + starts.taken(forward ^ 1) >= LEAST_BYTES
}

/** Payload bytes from the first one to the last one seen, modulo 2^32. */
function streamLength(correlator: Correlator, direction: DirectionIndex): number {
  const { seqEnd, seen, starts } = correlator.flows
  const fin = seen[direction]! & Seen.Fin ? 1 : 0
  return (seqEnd[direction]! - starts.isn[direction]! - 1 - fin) >>> 0
}
