/** Rules with their counters, before and after: light enough for hosts that have a hundred thousand of them. */

import { parseNftables } from '../topology/nftables.ts'
import type { RuleReceipt } from './model.ts'

/** A rule as it stands at one moment. */
export type CountedRule = Omit<RuleReceipt, 'change' | 'packets' | 'bytes' | 'target' | 'to'> & {
  readonly packets: number | null
  readonly bytes: number | null
  /** Only of nft; of iptables it is in the text. */
  readonly target?: string | null
}

/** By identity: of nft its handle, of iptables what it says and the how manieth that says so. */
export type RuleCounts = Map<string, CountedRule>

/** They decide about packets or rewrite them: told even where they did not move. */
const TELLING = 'DROP REJECT MASQUERADE SNAT DNAT REDIRECT NETMAP SYNPROXY TPROXY'.split(' ')
const TELLING_TEXT = new RegExp(` ?-j (${TELLING.join('|')})(?: |$)`)
const MAX_MOVED = 1000
const MAX_STILL = 200

/** Adds what `iptables-save -c` printed; returns the tables that it told. */
export function countIptables(
  text: string,
  family: 'ip' | 'ip6',
  backend: 'iptables' | 'iptables-legacy',
  counts: RuleCounts,
): string[] {
  const tables: string[] = []
  const numbers = new Map<string, number>()
  let table = ''
  for (const line of text.split('\n')) {
    if (line.startsWith('*')) {
      table = line.slice(1).trim()
      tables.push(table)
      numbers.clear()
      continue
    }
    if (line.startsWith(':')) {
      const policy = /^:(\S+) ([A-Z]+)(?: \[(\d+):(\d+)\])?/.exec(line)
      if (policy === null) continue
      const [, chain = '', verdict = '', packets, bytes] = policy
      const place = { backend, family, table, chain, number: null, handle: null, text: `policy ${verdict}` }
      addRule(counts, { ...place, ...numbersOf(packets, bytes) })
      continue
    }
    const match = /^(?:\[(\d+):(\d+)\] )?-A (\S+) ?(.*)$/.exec(line)
    if (match === null) continue
    const [, packets, bytes, chain = '', said = ''] = match
    const number = (numbers.get(chain) ?? 0) + 1
    numbers.set(chain, number)
    const place = { backend, family, table, chain, number, handle: null, text: said }
    addRule(counts, { ...place, ...numbersOf(packets, bytes) })
  }
  return tables
}

/** Adds what `nft -j list ruleset` printed, but for the tables that iptables tells; false where it is no JSON. */
export function countNftables(
  json: string,
  isTold: (family: string, table: string) => boolean,
  counts: RuleCounts,
): boolean {
  const read = parseNftables(json, 'host', (family, table) => !isTold(family, table))
  if (read === null) return false
  const numbers = new Map<string, number>()
  for (const { rule, handle } of read.rules) {
    const { family, table, chain, text, target, packets, bytes } = rule
    const isPolicy = handle === null && text.startsWith('policy ')
    const key = `${family} ${table} ${chain}`
    const number = isPolicy ? null : (numbers.get(key) ?? 0) + 1
    if (number !== null) numbers.set(key, number)
    addRule(counts, {
      ...{ backend: 'nft', family, table, chain, number, handle, text, target, packets, bytes },
    })
  }
  return true
}

/**
 * What became of the rules: those that moved, came and went, and those that tell. `omitted` counts what would have been
 * told if there were not so much of it. `preferred`: addresses whose rules go first.
 */
export function compareRules(
  before: RuleCounts,
  after: RuleCounts,
  preferred: readonly string[],
): { rules: RuleReceipt[]; omitted: number } {
  const moved: Pair[] = []
  const still: Pair[] = []
  for (const [key, rule] of after) {
    const earlier = before.get(key) ?? null
    if (earlier?.packets !== rule.packets) moved.push([earlier, rule])
    else if (tells(rule)) still.push([earlier, rule])
  }
  for (const [key, rule] of before) if (!after.has(key)) moved.push([rule, null])
  const kept = [...mostTelling(moved, MAX_MOVED, preferred), ...mostTelling(still, MAX_STILL, preferred)]
  return { rules: kept.map(receiptOf), omitted: moved.length + still.length - kept.length }
}

/** A rule at the beginning and at the end. */
type Pair = readonly [before: CountedRule | null, after: CountedRule | null]

/** Of too many, those that name one of these addresses come first. */
function mostTelling(pairs: readonly Pair[], max: number, preferred: readonly string[]): Pair[] {
  if (pairs.length <= max) return [...pairs]
  const concerns = ([before, after]: Pair) => {
    const { text } = (after ?? before)!
    return preferred.some((address) => text.includes(address))
  }
  return [...pairs.filter(concerns), ...pairs.filter((pair) => !concerns(pair))].slice(0, max)
}

function tells({ target, chain, text, number }: CountedRule): boolean {
  if (number === null) return text !== 'policy ACCEPT'
  if (chain === 'DOCKER-USER') return true
  return target === undefined ? TELLING_TEXT.test(text) : TELLING.includes(target ?? '')
}

function receiptOf([before, after]: Pair): RuleReceipt {
  const rule = (after ?? before)!
  const change =
    before === null
      ? 'appeared'
      : after === null
        ? 'vanished'
        : before.packets === after.packets
          ? 'same'
          : 'counted'
  const { backend, family, table, chain, number, handle, text } = rule
  return {
    ...{ backend, family, table, chain, number, handle, text: text.slice(0, MAX_TEXT) },
    ...(rule.target === undefined ? iptablesTarget(text) : { target: rule.target, to: nftTo(text) }),
    change,
    packets: { before: before?.packets ?? null, after: after?.packets ?? null },
    bytes: { before: before?.bytes ?? null, after: after?.bytes ?? null },
  }
}

/** Longer rules are sets of thousands of addresses. */
const MAX_TEXT = 1000

/** What a rule does, and where to: not what its comment says, which stands in quotes. */
function iptablesTarget(text: string): Pick<RuleReceipt, 'target' | 'to'> {
  const policy = /^policy (\w+)$/.exec(text)
  if (policy) return { target: policy[1]!, to: null }
  const plain = text.replace(/"(?:[^"\\]|\\.)*"/g, '""')
  return {
    target: /(?:^| )-[jg] (\S+)/.exec(plain)?.[1] ?? null,
    to: / --to(?:-destination|-source|-ports)? (\S+)/.exec(plain)?.[1] ?? null,
  }
}

function nftTo(text: string): string | null {
  return /\b(?:dnat|snat|redirect) to (\S+)/.exec(text)?.[1] ?? null
}

function addRule(counts: RuleCounts, rule: CountedRule): void {
  const { backend, family, table, chain, handle, text } = rule
  const base = `${backend} ${family} ${table} ${handle === null ? `${chain} ${text}` : handle}`
  let key = base
  // The same rule may stand there twice.
  for (let i = 2; counts.has(key); i++) key = `${base}\n${i}`
  counts.set(key, rule)
}

function numbersOf(packets: string | undefined, bytes: string | undefined) {
  return {
    packets: packets === undefined ? null : Number(packets),
    bytes: bytes === undefined ? null : Number(bytes),
  }
}
