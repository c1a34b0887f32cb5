/** What can be asked of one flow in words: how it was translated, which way it took, how it ended. */

import { renderEndpoint } from '../endpoint.ts'
import { BadValue, type Condition as FilterCondition, VALUE_WORDS } from '../filter-conditions.ts'
import type { FlowReport, TranslationReport } from '../model.ts'
import { type Answer, type FlowCondition, listed, unknownPoint } from './condition.ts'

const MAX_TRANSLATIONS = 4
const NO_ADDRESS = 'is no address, such as 172.17.0.2, 172.17.0.2:80, [2001:db8::1]:80, 172.17.0.0/16 or :80'

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
  const { address, port } = partsOf(target)
  if ((port !== null && !(/^\d{1,5}$/.test(port) && Number(port) <= 0xffff)) || (port ?? address) === '')
    throw new BadValue(NO_ADDRESS)
  const isIn = address === '' ? null : networkTest(address)
  return (flow, { to }) =>
    (port === null || to.port === Number(port)) &&
    (isIn === null || isIn(flow, { point: '', client: to, server: to }))
}

/** An IPv6 address has more than one colon itself: in front of a port it stands in brackets. */
function partsOf(target: string): { address: string; port: string | null } {
  const close = target.startsWith('[') ? target.lastIndexOf(']') : -1
  if (close > 0) {
    const rest = target.slice(close + 1)
    if (rest !== '' && !rest.startsWith(':')) throw new BadValue(NO_ADDRESS)
    return { address: target.slice(1, close), port: rest === '' ? null : rest.slice(1) }
  }
  const colon = target.indexOf(':')
  if (colon < 0 || colon !== target.lastIndexOf(':')) return { address: target, port: null }
  return { address: target.slice(0, colon), port: target.slice(colon + 1) }
}

function networkTest(address: string): FilterCondition {
  try {
    return VALUE_WORDS.get('net')!(address, 'src')
  } catch (error) {
    throw error instanceof BadValue ? new BadValue(NO_ADDRESS) : error
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
