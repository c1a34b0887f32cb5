/**
 * `--expect EXPR`: what a run is to show, as text.
 *
 *     expectation = [ selection ":" ] condition
 *     selection   = [ "every" | "any" ] "flow" [ "(" which ")" ]
 *     which       = an expression of --filter, or its words as "port=8080,tcp"
 *     condition   = fact | finding | measure | count
 *     fact        = [ "not" ] ( translation | "state=" STATE | "path=" POINT { "," POINT } | "via=" POINT )
 *     translation = ( "snat" | "dnat" | "nat" ) [ "=" [ ADDRESS ] [ ":" PORT ] ]      what it became; also a network
 *     finding     = [ "not" ] "finding" ( "=" CODE | ">=" SEVERITY )
 *     measure     = "ttl-drop" compare NUMBER | ( "rtt" | latency ) compare NUMBER ( "ns" | "us" | "ms" | "s" )
 *     latency     = ( "min" | "median" | "p99" ) "(" POINT "," POINT [ "," ( "forward" | "reverse" ) ] ")"
 *     count       = ( "flows" | "packets" | "lost" | "unseen" | "retransmissions" | "duplicates" | "ambiguous"
 *                   | "findings" | "errors" | "warnings" ) compare NUMBER
 *     compare     = "==" | "!=" | "<" | "<=" | ">" | ">="
 *
 * `no-` joined to a word and `!` mean `not`, `=` and `==` the same. A name with spaces or signs stands in double quotes.
 * Facts and measures must hold for every flow selected, or with `any flow` for one of them; counts and findings are
 * about all flows together, unless `every` or `any` asks for them flow by flow. Where no flow is selected nothing holds
 * but `flows==0` and what findings about no flow show.
 */

import { displayText } from '../../capture/display-text.ts'
import { HoptraceError } from '../../errors.ts'
import { BadValue } from '../filter-conditions.ts'
import { ExpressionError, endsEarly, nearestWord, shown, type Token, wrong } from '../filter-tokens.ts'
import { harmless } from '../harmless.ts'
import type { Severity } from '../model.ts'
import { type Comparison, type Condition, OPERATORS, type Operator } from './condition.ts'
import { inState, passes, takesPath, translated } from './flow-conditions.ts'
import { latency, roundTrip, STATISTICS, type Statistic, ttlDrop } from './measures.ts'
import { cutSelection, type Selection } from './selection.ts'
import { CODES, hasCode, hasSeverity, SEVERITIES, TALLY_WORDS, tallied } from './tallies.ts'
import { conditionTokens } from './tokens.ts'

export interface Expectation {
  /** As it was given. */
  text: string
  selection: Selection
  condition: Condition
}

const MAX_CHARACTERS = 10_000
const MAX_SHOWN = 60
/** Both signs that look like µ. */
const NS = new Map([
  ...['us', '\u00b5s', '\u03bcs'].map((unit) => [unit, 1e3] as const),
  ['ns', 1],
  ['ms', 1e6],
  ['s', 1e9],
])
const SIGNS: ReadonlySet<string> = new Set(['(', ')', '!', ',', '=', ...OPERATORS])
/** Words that `not` can stand in front of, and `no-` at the beginning of. */
const NEGATABLE = ['snat', 'dnat', 'nat', 'state', 'path', 'via', 'finding']
const MEASURES = ['ttl-drop', 'rtt', ...Object.keys(STATISTICS)]
const WORDS = [
  ...NEGATABLE,
  ...NEGATABLE.map((word) => `no-${word}`),
  ...MEASURES,
  ...TALLY_WORDS,
  ...['not', 'flow', 'every', 'any'],
]

/** Compiles an expectation. Throws a `HoptraceError` of one line that names the character where it stops making sense. */
export function parseExpectation(text: string): Expectation {
  try {
    if (text.length > MAX_CHARACTERS)
      throw new ExpressionError(`has ${text.length} characters: ${MAX_CHARACTERS} are the most`)
    const { selection, rest, at } = cutSelection(text)
    const tokens = conditionTokens(rest, at)
    if (tokens.length === 0)
      throw new ExpressionError(
        selection.text === ''
          ? "is empty: give a condition, such as 'snat' or 'lost==0'"
          : `ends at character ${at - 1} behind ':', where a condition should follow`,
      )
    const parser = new Parser(tokens)
    const condition = parser.condition()
    parser.end()
    return { text, selection, condition }
  } catch (error) {
    if (!(error instanceof ExpressionError)) throw error
    // Enough of it to know which one is meant, where several are given.
    throw new HoptraceError(`--expect '${harmless(text, MAX_SHOWN)}': ${error.what}`)
  }
}

class Parser {
  readonly #tokens: readonly Token[]
  #next = 0

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens
  }

  condition(): Condition {
    let isNot = false
    let not: Token | null = null
    for (let token = this.#peek(); token?.word === 'not' || token?.word === '!'; token = this.#peek()) {
      isNot = !isNot
      not = token
      this.#next++
    }
    const token = this.#take('where a condition should follow')
    const isNo = token.word.startsWith('no-')
    const word = isNo ? token.word.slice(3) : token.word
    if (NEGATABLE.includes(word)) return this.#negatable(word, isNot !== isNo)
    if (!isNo && (MEASURES.includes(word) || TALLY_WORDS.includes(word))) {
      if (not !== null) throw wrong(not, `does not go with '${word}': turn its comparison around`)
      return MEASURES.includes(word) ? this.#measure(word) : tallied(word, this.#comparison(token, numberOf))
    }
    throw unknown(token)
  }

  end(): void {
    const token = this.#peek()
    if (token) throw wrong(token, 'stands behind the end: give each condition an --expect of its own')
  }

  #negatable(word: string, isNot: boolean): Condition {
    const sign = this.#peek()
    const isOther = sign?.word === '!='
    if (word === 'finding') return this.#finding(isNot)
    if (word.endsWith('nat')) {
      const kinds = word === 'nat' ? ['snat', 'dnat'] : [word]
      if (sign === undefined) return translated(kinds, null, isNot)
      const target = this.#value(sign, 'an address')
      return checked(target, ({ text }) => translated(kinds, text, isNot !== isOther))
    }
    const wanted = word === 'state' ? 'a state' : 'the name of a point'
    const first = this.#value(sign, wanted)
    if (word === 'state') return checked(first, (it) => inState(it.word, isNot !== isOther))
    if (word === 'via') return passes(nameOf(first), isNot !== isOther)
    const points = [nameOf(first)]
    while (this.#peek()?.word === ',') {
      this.#next++
      points.push(nameOf(this.#operand("where the name of a point should follow ','")))
    }
    return takesPath(points, isNot !== isOther)
  }

  #finding(isNot: boolean): Condition {
    const sign = this.#take("where '=' and a code or '>=' and a severity should follow")
    if (sign.word === '>=') {
      const severity = this.#operand(`where ${SEVERITIES.join(', ')} should follow '>='`)
      if (!SEVERITIES.includes(severity.word as Severity))
        throw wrong(severity, `is no severity: there are ${SEVERITIES.join(', ')}`)
      return hasSeverity(severity.word as Severity, isNot)
    }
    if (sign.word !== '=' && sign.word !== '==')
      throw wrong(sign, "stands where '=' and a code or '>=' and a severity should")
    const code = this.#operand(`where a finding's code should follow '${sign.text}'`)
    if (SEVERITIES.includes(code.word as Severity))
      throw wrong(code, `is a severity and no code: say 'finding>=${code.word}'`)
    if (!CODES.includes(code.word)) {
      const near = nearestWord(code.word, CODES)
      const hint = near === null ? `${CODES.slice(0, 4).join(', ')} are some` : `did you mean '${near}'?`
      throw wrong(code, `is no code of a finding that there can be: ${hint}`)
    }
    return hasCode(code.word, isNot)
  }

  #measure(word: string): Condition {
    const token = this.#tokens[this.#next - 1]!
    if (word === 'ttl-drop') return ttlDrop(this.#comparison(token, numberOf))
    if (word === 'rtt') return roundTrip(this.#comparison(token, durationOf))
    this.#sign('(', `'${word}' and two points, as in '${word}(bridge,uplink)'`)
    const near = nameOf(this.#operand("where the name of a point should follow '('"))
    this.#sign(',', 'a second point')
    const far = nameOf(this.#operand("where the name of a point should follow ','"))
    let direction: 'forward' | 'reverse' | null = null
    if (this.#peek()?.word === ',') {
      this.#next++
      const which = this.#operand("where forward or reverse should follow ','")
      if (which.word !== 'forward' && which.word !== 'reverse')
        throw wrong(which, 'is no direction: there are forward and reverse')
      direction = which.word
    }
    this.#sign(')', 'the end of the two points')
    const comparison = this.#comparison(this.#tokens[this.#next - 1]!, durationOf)
    return latency(word as Statistic, [near, far], direction, comparison)
  }

  /** `== 3`, behind `subject`. */
  #comparison(subject: Token, valued: (value: Token, unit: Token | undefined) => Value): Comparison {
    const sign = this.#take(`where a comparison such as '==' should follow`)
    const operator = (sign.word === '=' ? '==' : sign.word) as Operator
    if (!OPERATORS.includes(operator))
      throw wrong(sign, `stands where a comparison with '${shown(subject.text)}' should, such as '=='`)
    const value = this.#operand(`where a number should follow '${sign.text}'`)
    const { number, hasUnit } = valued(value, this.#peek())
    if (hasUnit) this.#next++
    return { operator, limit: number }
  }

  /** The value behind `=`, `==` or `!=`. */
  #value(sign: Token | undefined, wanted: string): Token {
    if (sign === undefined) throw this.#ends(`where '=' and ${wanted} should follow`)
    if (!['=', '==', '!='].includes(sign.word)) throw wrong(sign, `stands where '=' and ${wanted} should`)
    this.#next++
    return this.#operand(`where ${wanted} should follow '${sign.text}'`)
  }

  /** A name or number; never a sign. */
  #operand(where: string): Token {
    const token = this.#take(where)
    if (SIGNS.has(token.word)) throw wrong(token, `stands ${where}`)
    return token
  }

  #sign(sign: string, what: string): void {
    const token = this.#take(`where '${sign}' should follow: ${what}`)
    if (token.word !== sign) throw wrong(token, `stands where '${sign}' should: ${what}`)
  }

  #peek(): Token | undefined {
    return this.#tokens[this.#next]
  }

  #take(where: string): Token {
    const token = this.#tokens[this.#next]
    if (token === undefined) throw this.#ends(where)
    this.#next++
    return token
  }

  #ends(where: string): ExpressionError {
    return endsEarly(this.#tokens.at(-1)!, where)
  }
}

interface Value {
  number: number
  /** The unit was a word of its own. */
  hasUnit: boolean
}

function numberOf(value: Token): Value {
  if (!/^\d{1,15}$/.test(value.text)) throw wrong(value, 'is no whole number')
  return { number: Number(value.text), hasUnit: false }
}

/** In ns. */
function durationOf(value: Token, next: Token | undefined): Value {
  const [, number, unit] = /^(\d{1,12}(?:\.\d{1,9})?)(\D*)$/.exec(value.word) ?? []
  const scale = NS.get(unit || (next?.word ?? ''))
  if (number === undefined || scale === undefined)
    throw wrong(value, 'is no duration with a unit, such as 800ns, 50us, 1.5ms or 2s')
  return { number: Math.round(Number(number) * scale), hasUnit: unit === '' }
}

function nameOf({ text }: Token): string {
  return displayText(text)
}

function checked(value: Token, make: (value: Token) => Condition): Condition {
  try {
    return make(value)
  } catch (error) {
    throw error instanceof BadValue ? wrong(value, error.message) : error
  }
}

function unknown(token: Token): ExpressionError {
  const { word } = token
  if (word === 'every' || word === 'any') return wrong(token, `goes with flow: '${word} flow: snat'`)
  if (SIGNS.has(word)) return wrong(token, 'stands where a condition should')
  const near = nearestWord(word, WORDS)
  const hint =
    near === null
      ? ': snat, dnat, lost, ttl-drop, path, finding and p99 are some'
      : `: did you mean '${near}'?`
  return wrong(token, `is no word that it knows${hint}`)
}
