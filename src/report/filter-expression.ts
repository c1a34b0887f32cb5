/**
 * `--filter EXPR`: pcap-filter(7) for whole flows, across NAT: a flow that matches at any point is shown at all of them.
 *
 * `and` and `or` look at one point at a time: `host A and port N` wants both in one packet, as tcpdump does there, or
 * two flows that NAT gives the same port would be taken for each other. `not` is about the whole flow: no point shows
 * it. (Else `not host A` would let through every flow of A's, at the points where NAT hides A.) So `not (a or b)` is
 * `not a and not b`, but `not (a and b)` says only that no point shows both at once. What is known of a flow as a whole
 * (`lost`, `state reset`) holds at all its points. As in pcap-filter, `and` and `or` bind alike, from left to right.
 */

import {
  BadValue,
  type Condition,
  PROPERTY_WORDS,
  PROTOCOL_WORDS,
  SIDED,
  type Side,
  VALUE_WORDS,
  type View,
} from './filter-conditions.ts'
import {
  ExpressionError,
  endsEarly,
  IS_WORD,
  looksLikeValue,
  OPERATORS,
  SIDES,
  TEXT_KINDS,
  type Token,
  tokensOf,
  unknownWord,
  wrong,
} from './filter-tokens.ts'
import type { FlowReport } from './model.ts'

/** Whether a flow is wanted. */
export type FlowPredicate = (flow: FlowReport) => boolean

/** For each view of the flow, whether it holds there. */
type Node = (flow: FlowReport, views: readonly View[]) => boolean[]

/** Words in front of a value, which the next value after `and` or `or` may leave out. */
interface Qualifiers {
  protocol: { word: string; test: Condition } | null
  side: Side | null
  kind: string
}

const MAX_CHARACTERS = 10_000
const MAX_DEPTH = 100
/** Compiles an expression. Throws a `HoptraceError` of one line that names the character where it stops making sense. */
export function parseFilterExpression(text: string): FlowPredicate {
  if (text.length > MAX_CHARACTERS)
    throw new ExpressionError(`has ${text.length} characters: ${MAX_CHARACTERS} are the most`)
  return parseFilterTokens(tokensOf(text))
}

/** As `parseFilterExpression`, for an expression that is part of another one. Throws an `ExpressionError`. */
export function parseFilterTokens(tokens: Token[]): FlowPredicate {
  const node = new Parser(tokens).whole()
  return (flow) => node(flow, viewsOf(flow)).includes(true)
}

function viewsOf({ forward, reverse, client, server }: FlowReport): View[] {
  const views = forward.path.map(({ point, src, dst }): View => ({ point, client: src, server: dst }))
  for (const { point, src, dst } of reverse.path) views.push({ point, client: dst, server: src })
  return views.length > 0 ? views : [{ point: '', client, server }]
}

class Parser {
  readonly #tokens: Token[]
  #next = 0
  #depth = 0
  #before: Qualifiers | null = null

  constructor(tokens: Token[]) {
    this.#tokens = tokens
  }

  whole(): Node {
    if (this.#tokens.length === 0)
      throw new ExpressionError("is empty: give a condition, such as 'host 172.17.0.3 and tcp port 80'")
    const node = this.#alternatives()
    const rest = this.#tokens[this.#next]
    if (rest?.text === ')') throw wrong(rest, 'closes nothing')
    if (rest) this.#failAt(rest)
    return node
  }

  /** Conditions joined by `and` and `or`: a loop, and not a tree, as there may be thousands. */
  #alternatives(): Node {
    const first = this.#term()
    const more: { isAnd: boolean; node: Node }[] = []
    for (let operator = this.#operator(); operator !== null; operator = this.#operator())
      more.push({ isAnd: operator === 'and', node: this.#term() })
    if (more.length === 0) return first
    return (flow, views) => {
      const holds = first(flow, views)
      for (const { isAnd, node } of more) {
        const others = node(flow, views)
        for (let i = 0; i < holds.length; i++)
          holds[i] = isAnd ? holds[i] && others[i] : holds[i] || others[i]
      }
      return holds
    }
  }

  #operator(): 'and' | 'or' | null {
    const operator = OPERATORS.get(this.#tokens[this.#next]?.word ?? '')
    if (operator !== 'and' && operator !== 'or') return null
    this.#next++
    return operator
  }

  #term(): Node {
    const token = this.#tokens[this.#next]
    if (token === undefined) throw this.#endsEarly('where a condition should follow')
    if (OPERATORS.get(token.word) === 'not') {
      const node = this.#nested(token, () => this.#term())
      return (flow, views) => {
        const isAbsent = !node(flow, views).includes(true)
        return views.map(() => isAbsent)
      }
    }
    return token.text === '(' && token.word !== '' ? this.#group(token) : this.#condition(token)
  }

  #group(open: Token): Node {
    const node = this.#nested(open, () => this.#alternatives())
    const close = this.#tokens[this.#next++]
    if (close === undefined) throw wrong(open, 'is never closed')
    if (close.word !== ')') this.#failAt(close)
    return node
  }

  #nested(token: Token, parse: () => Node): Node {
    if (++this.#depth > MAX_DEPTH) throw wrong(token, `is nested deeper than ${MAX_DEPTH}`)
    this.#next++
    const node = parse()
    this.#depth--
    return node
  }

  #condition(token: Token): Node {
    const property = PROPERTY_WORDS.get(token.word)
    if (property) {
      this.#next++
      return everywhere(property)
    }
    const own = this.#qualifiers()
    if (own?.kind === '') return everywhere(own.protocol!.test)
    const qualifiers = own ?? this.#before
    const value = this.#tokens[this.#next]
    if (own) {
      this.#before = own
      if (value === undefined)
        throw this.#endsEarly(`where a value should follow '${this.#tokens[this.#next - 1].text}'`)
      // `port (80 or 443)`
      if (value.word === '(' && this.#leadsToValue()) return this.#group(value)
      if (IS_WORD.has(value.word) && (own.kind !== 'at' || '()'.includes(value.word)))
        throw wrong(value, `stands where a value should follow '${this.#tokens[this.#next - 1].text}'`)
    } else if (IS_WORD.has(value.word)) {
      throw wrong(value, 'stands where a condition should')
    } else if (qualifiers === null || !(looksLikeValue(value) || TEXT_KINDS.has(qualifiers.kind))) {
      if (!looksLikeValue(value)) throw unknownWord(value)
      if (/^\d+$/.test(value.text)) throw wrong(value, `stands alone: is it 'port ${value.text}'?`)
    }
    this.#next++
    return everywhere(conditionOf(value, qualifiers ?? { protocol: null, side: null, kind: 'host' }))
  }

  /** Takes `tcp src port`, or what there is of it; null where the next token is none of these. Kind '' is `tcp` alone. */
  #qualifiers(): Qualifiers | null {
    const first = this.#tokens[this.#next]
    const test = PROTOCOL_WORDS.get(first.word)
    const protocol = test ? { word: first.word, test } : null
    if (test) this.#next++
    const side = this.#side()
    const token = this.#tokens[this.#next]
    const kind = token && VALUE_WORDS.has(token.word) ? token.word : ''
    if (kind !== '') this.#next++
    if (side && kind !== '' && !SIDED.has(kind))
      throw wrong(token, `has no side: '${side}' goes with ${[...SIDED].join(', ')}`)
    if (kind.startsWith('port') && protocol && /^icmp/.test(protocol.word))
      throw wrong(token, `is nothing that ${protocol.word} has: 'id' is its echo identifier`)
    if (!(protocol || side) && kind === '') return null
    return { protocol, side, kind: kind === '' && side ? 'host' : kind }
  }

  #side(): Side | null {
    const [first, operator, second] = this.#tokens.slice(this.#next, this.#next + 3).map(({ word }) => word)
    const side = SIDES.get(first ?? '')
    if (side === undefined) return null
    const other = SIDES.get(second ?? '')
    const joined = OPERATORS.get(operator ?? '')
    const isBoth = other !== undefined && other !== side && (joined === 'and' || joined === 'or')
    this.#next += isBoth ? 3 : 1
    return isBoth ? `src ${joined} dst` : side
  }

  #leadsToValue(): boolean {
    const inner = this.#tokens
      .slice(this.#next)
      .find(({ word }) => word !== '(' && OPERATORS.get(word) !== 'not')
    return inner === undefined || !IS_WORD.has(inner.word)
  }

  #failAt(token: Token): never {
    throw IS_WORD.has(token.word) || looksLikeValue(token)
      ? wrong(token, "follows without 'and' or 'or'")
      : unknownWord(token)
  }

  #endsEarly(what: string): ExpressionError {
    return endsEarly(this.#tokens.at(-1)!, what)
  }
}

function everywhere(test: Condition): Node {
  return (flow, views) => views.map((view) => test(flow, view))
}

function conditionOf(value: Token, { protocol, side, kind }: Qualifiers): Condition {
  try {
    const test = VALUE_WORDS.get(kind)!(value.text, side ?? 'src or dst')
    return protocol === null ? test : (flow, view) => protocol.test(flow, view) && test(flow, view)
  } catch (error) {
    throw error instanceof BadValue ? wrong(value, error.message) : error
  }
}
