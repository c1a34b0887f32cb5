/**
 * What the filter of the table means: an expression as `--filter` takes it, or else words that all stand somewhere in a
 * flow: in an address at any point, a port, a name, the protocol, the state, a finding.
 */

import { parseFilterTokens } from '../../filter-expression.ts'
import { ExpressionError, IS_WORD, type Token, tokensOf } from '../../filter-tokens.ts'
import type { Endpoint, FindingReport, FlowReport } from '../../model.ts'

export type FlowTest = (flow: FlowReport) => boolean

export interface FlowSearch {
  kind: 'all' | 'expression' | 'words'
  /** null where the text makes no sense. */
  matches: FlowTest | null
  /** Why it makes none, or what may be meant; one line. */
  hint: string | null
}

const MAX_CHARACTERS = 10_000

/** Makes a filter of what stands in the field. `texts` gives what words are looked for in. */
export function flowSearch(text: string, texts: (flow: FlowReport) => string): FlowSearch {
  if (text.trim() === '') return { kind: 'all', matches: () => true, hint: null }
  if (text.length > MAX_CHARACTERS)
    return { kind: 'words', matches: null, hint: `The filter is longer than ${MAX_CHARACTERS} characters.` }
  const tokens = tokensOf(text)
  try {
    return { kind: 'expression', matches: parseFilterTokens(tokens), hint: null }
  } catch (error) {
    if (!(error instanceof ExpressionError)) throw error
    if (tokens.some(({ word }) => IS_WORD.has(word)))
      return { kind: 'expression', matches: null, hint: `The filter ${sentence(error.what)}` }
    return { kind: 'words', matches: wordTest(tokens, texts), hint: hintFor(tokens) }
  }
}

/** Words may be written in any order; each stands anywhere. */
function wordTest(tokens: readonly Token[], texts: (flow: FlowReport) => string): FlowTest {
  const words = tokens.map(({ text }) => text.toLowerCase())
  return (flow) => {
    const text = texts(flow)
    return words.every((word) => text.includes(word))
  }
}

function hintFor([first, ...more]: readonly Token[]): string | null {
  if (more.length > 0 || first === undefined) return null
  if (/^[\d.:a-f]+\/\d+$/i.test(first.text)) return `Is a network meant? That is ‘net ${first.text}’.`
  return /^\d{1,5}$/.test(first.text)
    ? `Looks for ‘${first.text}’ anywhere; ‘port ${first.text}’ asks for the port alone.`
    : null
}

function sentence(what: string): string {
  return /^'/.test(what) ? `does not make sense: ${what}.` : `${what}.`
}

/** Gives the text of each flow, made when it is first asked for. */
export function searchTexts(
  names: Readonly<Record<string, string>>,
  findings: readonly FindingReport[],
): (flow: FlowReport) => string {
  const codes = new Map<number, string>()
  for (const { flow, code } of findings)
    if (flow !== null) codes.set(flow, `${codes.get(flow) ?? ''} ${code}`)
  const made = new WeakMap<FlowReport, string>()
  return (flow) => {
    let text = made.get(flow)
    if (text === undefined) {
      text = `${flow.protocol} ${flow.state}${endTexts(flow, names)} ${flow.dnsNames.join(' ')}${codes.get(flow.id) ?? ''}`
      text = text.toLowerCase()
      made.set(flow, text)
    }
    return text
  }
}

function endTexts(flow: FlowReport, names: Readonly<Record<string, string>>): string {
  const seen: Endpoint[] = []
  let text = ''
  const add = (end: Endpoint) => {
    const { ip, port } = end
    // There are few different ends, of which most stand at many points.
    for (const one of seen) if (one.port === port && one.ip === ip) return
    seen.push(end)
    text += ip.includes(':') ? ` [${ip}]:${port}` : ` ${ip}:${port}`
    const name = names[ip]
    if (name !== undefined) text += ` ${name}`
  }
  add(flow.client)
  add(flow.server)
  for (const { path } of [flow.forward, flow.reverse])
    for (const { src, dst } of path) {
      add(src)
      add(dst)
    }
  return text
}
