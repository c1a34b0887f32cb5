/** What can be asked of one flow in words: how it was translated, which way it took, how it ended. */

import { renderEndpoint } from '../endpoint.ts'
import { BadValue, type Condition as FilterCondition, VALUE_WORDS } from '../filter-conditions.ts'
import type { FlowReport, TranslationReport } from '../model.ts'
import { type Answer, type FlowCondition, listed, unknownPoint } from './condition.ts'

const MAX_TRANSLATIONS = 4

/** Every translation of the flow of these kinds, or one to this address and port. */
export function translated(kinds: readonly string[], target: string | null, isNot: boolean): FlowCondition {
  const meets = target === null ? () => true : targetTest(target)
  const name = kinds.map((kind) => kind.toUpperCase()).join(' or ')
  return {
    about: 'flow',
    ask(flow) {
      const all = flow.translations.filter(({ kind }) => kinds.includes(kind))
      const some = all.filter((it) => meets(flow, it))
      const shown = listed(
        (some.length > 0 ? some : all).map((it) => translationText(flow, it)),
        MAX_TRANSLATIONS,
      )
      if (some.length > 0) return { holds: !isNot, evidence: shown }
      if (all.length > 0) return { holds: isNot, evidence: `${shown}, not ${target}` }
      const places = placesOf(flow)
      if (places.length < 2)
        return {
          holds: null,
          evidence: `seen only at ${places[0] ?? 'no point'}, where no translation shows`,
        }
      return { holds: isNot, evidence: `no ${name} at ${places.join(', ')}` }
    },
  }
}

/** `172.17.0.2`, `172.17.0.2:80`, `[2001:db8::1]:80`, `172.17.0.0/16`, `:80`. Throws `BadValue`. */
function targetTest(target: string): (flow: FlowReport, translation: TranslationReport) => boolean {
  const [, bracketed, plain, port] = /^(?:\[([^\]]*)\]|([^:]*|.*:.*:.*?))(?::(\d{1,5}))?$/.exec(
    target.includes('[') || target.split(':').length < 3 ? target : `[${target}]`,
  ) ?? ['', 'no address']
  const address = bracketed ?? plain ?? ''
  if ((port === undefined && address === '') || Number(port ?? 0) > 0xffff)
    throw new BadValue('is no address, such as 172.17.0.2, 172.17.0.2:80, [2001:db8::1]:80 or :80')
  const inNetwork = address === '' ? null : networkTest(address)
  return (flow, { to }) =>
    (port === undefined || to.port === Number(port)) &&
    (inNetwork === null || inNetwork(flow, { point: '', client: to, server: to }))
}

function networkTest(address: string): FilterCondition {
  try {
    return VALUE_WORDS.get('net')!(address, 'src')
  } catch (error) {
    if (!(error instanceof BadValue)) throw error
    throw new BadValue('is no address, such as 172.17.0.2, 172.17.0.2:80, [2001:db8::1]:80 or 172.17.0.0/16')
  }
}

function translationText({ protocol }: FlowReport, { kind, from, to, between }: TranslationReport): string {
  const [near, far] = between
  const where = near === far ? `before ${near}` : `between ${near} and ${far}`
  return `${kind.toUpperCase()} ${renderEndpoint(from, protocol)} → ${renderEndpoint(to, protocol)} ${where}`
}

/** The flow is in this state. Throws `BadValue`. */
export function inState(name: string, isNot: boolean): FlowCondition {
  VALUE_WORDS.get('state')!(name, 'src or dst')
  return { about: 'flow', ask: ({ state }) => ({ holds: (state === name) !== isNot, evidence: state }) }
}

/** The flow was seen at exactly these points in this order, client side first. */
export function takesPath(points: readonly string[], isNot: boolean): FlowCondition {
  const key = points.join('\0')
  return alongTheWay(points, (places) => (places.join('\0') === key) !== isNot)
}

/** The flow was seen at this point. */
export function passes(point: string, isNot: boolean): FlowCondition {
  return alongTheWay([point], (places) => places.includes(point) !== isNot)
}

function alongTheWay(points: readonly string[], test: (places: string[]) => boolean): FlowCondition {
  return {
    about: 'flow',
    obstacle: (report) => unknownPoint(points, report),
    ask(flow): Answer {
      const places = placesOf(flow)
      if (places.length === 0) return { holds: null, evidence: 'not seen at any point' }
      return { holds: test(places), evidence: `seen at ${places.join(', ')}` }
    },
  }
}

/** The points that showed the flow, client side first; a point may stand twice. */
export function placesOf({ forward, reverse }: FlowReport): string[] {
  if (forward.path.length > 0) return forward.path.map(({ point }) => point)
  return reverse.path.map(({ point }) => point).reverse()
}
