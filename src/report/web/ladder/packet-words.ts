/** A packet of the ladder in words and signs: for its label, for the list, and for who can't see either. */

import type { PagePacket } from '../../page-data.ts'
import { formatDurationNs } from '../../quantities.ts'
import { nsBetween } from './ladder-model.ts'

export type Tone = 'loss' | 'warn'

/** Something that sets a packet apart from one that simply arrived. */
export interface Mark {
  sign: string
  /** A word or two. */
  short: string
  /** All of it. */
  long: string
  tone: Tone
}

/** What became of the packet, where it did not simply arrive. */
export function endingMark({ outcome, lostBetween, answeredBy }: PagePacket): Mark | null {
  switch (outcome) {
    case 'delivered':
      return null
    case 'lost': {
      const where = lostBetween ? ` between ${lostBetween[0]} and ${lostBetween[1]}` : ''
      return { sign: '✗', short: 'lost', long: `lost${where}`, tone: 'loss' }
    }
    case 'answered': {
      const short = answeredBy?.name ?? 'ICMP error'
      const long = answeredBy
        ? `ICMP ${answeredBy.name}, says ${answeredBy.from}`
        : 'answered by an ICMP error'
      return { sign: '↩', short, long, tone: 'loss' }
    }
    case 'unseen':
      return { sign: '?', short: 'unseen', long: 'not seen further on, maybe not captured', tone: 'warn' }
    default:
      return { sign: '?', short: 'ambiguous', long: 'not told apart from another packet', tone: 'warn' }
  }
}

export function marksOf(packet: PagePacket): Mark[] {
  const marks: Mark[] = []
  if (packet.retransmission)
    marks.push({ sign: '↻', short: 'resent', long: 'resent, a retransmission', tone: 'warn' })
  const several = packet.sightings.find(({ frames }) => frames.length > 1)
  if (several) {
    const many = `${several.frames.length} frames`
    marks.push({ sign: '⧉', short: many, long: `in ${many} at ${several.point}`, tone: 'warn' })
  }
  const ending = endingMark(packet)
  return ending ? [...marks, ending] : marks
}

export function arrowOf({ direction }: PagePacket): string {
  return direction === 'forward' ? '→' : '←'
}

/** The least that says what it is: the flags of `[S.] seq 0 len 0`, else all. */
export function shortSummary(summary: string): string {
  return /^\[[^\]]*\]/.exec(summary)?.[0] ?? summary
}

/** A time since the flow's start, to the µs: neighbours in a long flow differ only there. */
export function sinceStart(ns: number): string {
  if (ns === 0) return '0'
  const size = Math.abs(ns)
  const sign = ns < 0 ? '−' : ''
  if (size >= 1e9) return `${sign}${(size / 1e9).toFixed(6)} s`
  return size >= 1e6 ? `${sign}${(size / 1e6).toFixed(3)} ms` : formatDurationNs(ns)
}

/** From the flow's start to the packet's first sighting. */
export function timeOf({ sightings }: PagePacket, originNs: string): string {
  const first = sightings[0]
  return first ? sinceStart(nsBetween(originNs, first.timeNs)) : '?'
}

/** From its first sighting to its last; nothing where there is only one. */
export function tookOf({ sightings }: PagePacket): string {
  if (sightings.length < 2) return ''
  return formatDurationNs(nsBetween(sightings[0]!.timeNs, sightings.at(-1)!.timeNs))
}

/** The whole packet in one line. */
export function sentenceOf(packet: PagePacket, originNs: string): string {
  const { number, direction, sightings, summary } = packet
  const took = tookOf(packet)
  const time = timeOf(packet, originNs)
  const way =
    sightings.length > 1
      ? `${sightings[0]!.point} to ${sightings.at(-1)!.point}`
      : (sightings[0]?.point ?? '')
  return [
    `Packet ${number}`,
    time === '0' ? 'at the start' : `${time} after the start`,
    direction === 'forward' ? 'to the server' : 'to the client',
    summary,
    took === '' ? `seen at ${way}` : `${way} in ${took}`,
    ...marksOf(packet).map(({ sign, long }) => `${sign} ${long}`),
  ].join(' · ')
}
