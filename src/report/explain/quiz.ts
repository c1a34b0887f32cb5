/** The quiz: what to ask about the next station before its header is shown, and which answers are right. */

import { pointName } from '../path-line.ts'
import { isAsBefore } from './compare.ts'
import type { ExplainedField, ExplainedPacket, ExplainedStation, Explanation } from './model.ts'

export interface Question {
  /** `TTL at uplink?` */
  ask: string
  /** As it is shown. */
  answer: string
  /** Is this the right answer? `text` is what was typed. */
  accepts(text: string): boolean
}

/** The questions in front of a station. */
export function questionsAbout(station: ExplainedStation, before: ExplainedStation): Question[] {
  const at = pointName(station.point)
  const changes = !isAsBefore(station, before)
  if (!changes || station.layers.length !== before.layers.length)
    return [yesOrNo(`From ${pointName(before.point)} to ${at}: does any header change?`, changes)]
  const ip = ipLayer(station)
  const ethernet = station.layers.find(({ name }) => name === 'Ethernet' || name === 'inner Ethernet')
  const questions: (Question | null)[] = [
    exact(`${ip?.name ?? 'IP'}: TTL at ${at}?`, field(ip?.fields, 'TTL') ?? field(ip?.fields, 'hop limit')),
    exact(`${ip?.name}: source at ${at}?`, field(ip?.fields, 'source')),
    exact(`${ip?.name}: destination at ${at}?`, field(ip?.fields, 'destination')),
    ethernet
      ? yesOrNo(
          'Ethernet: do the MAC addresses stay the same?',
          !ethernet.fields.some(({ isChanged }) => isChanged),
        )
      : null,
    checksum(`${ip?.name}: does the header checksum stay the same?`, field(ip?.fields, 'checksum')),
  ]
  return questions.filter((question) => question !== null)
}

/** How many questions there are in all. */
export function countQuestions({ packets }: Explanation): number {
  const ofPacket = ({ stations }: ExplainedPacket) =>
    stations.slice(1).reduce((sum, station, i) => sum + questionsAbout(station, stations[i]!).length, 0)
  return packets.reduce((sum, packet) => sum + ofPacket(packet), 0)
}

function ipLayer({ layers }: ExplainedStation) {
  return layers.findLast(({ name }) => /IPv[46]$/.test(name) && !name.startsWith('quoted'))
}

function field(fields: readonly ExplainedField[] | undefined, name: string): ExplainedField | undefined {
  return fields?.find((it) => it.name === name)
}

function exact(ask: string, asked: ExplainedField | undefined): Question | null {
  if (!asked) return null
  const answer = asked.value
  return { ask, answer, accepts: (text) => normal(text) === answer.toLowerCase() }
}

function yesOrNo(ask: string, isYes: boolean): Question {
  const right = isYes ? /^(y|yes|yep|same|true|1)$/ : /^(n|no|nope|other|different|false|0)$/
  return { ask: `${ask} (yes/no)`, answer: isYes ? 'yes' : 'no', accepts: (text) => right.test(normal(text)) }
}

/** Nobody can compute it by heart; whoever does is right as well. */
function checksum(ask: string, asked: ExplainedField | undefined): Question | null {
  if (!asked) return null
  const same = yesOrNo(ask, !asked.isChanged)
  return {
    ask: same.ask,
    answer: asked.isChanged ? `no, it is ${asked.value}` : same.answer,
    accepts: (text) => same.accepts(text) || normal(text) === asked.value,
  }
}

function normal(text: string): string {
  return text
    .trim()
    .toLowerCase()
    .replace(/[.!?]+$/, '')
}
