/** iptables: reads what `iptables-save -c` prints, with counters. */

import { integerOf } from './foreign.ts'
import type { ParsedRule, RuleSet, Side } from './rules.ts'
import type { Rule } from './topology.ts'

const HOOKS = ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING']

/** Lines that are no rules are passed over. */
export function parseIptables(text: string, family: 'ip' | 'ip6', where: Rule['where']): RuleSet {
  const lines = text.split('\n')
  const hooks = new Map<string, string>()
  const rules: ParsedRule[] = []
  const policies: ParsedRule[] = []
  const chains = new Set<string>()
  let table = ''
  for (const line of lines) {
    if (line.startsWith('*')) table = line.slice(1).trim()
    const declared = /^:(\S+) (\S+)(?: \[(\d+):(\d+)\])?/.exec(line)
    if (declared) {
      const [, chain = '', policy = '', packets, bytes] = declared
      chains.add(`${table} ${chain}`)
      if (HOOKS.includes(chain)) hooks.set(`${family} ${table} ${chain}`, chain.toLowerCase())
      // Chains that the user made have none: a dash. ACCEPT is what happens anyway.
      if (policy !== '-' && policy !== 'ACCEPT') {
        const counters = { packets: integerOf(packets), bytes: integerOf(bytes) }
        const rule = { where, family, table, chain, text: `policy ${policy}`, target: policy, ...counters }
        policies.push({ rule, jump: null, source: NOTHING, destination: NOTHING, handle: null })
      }
      continue
    }
    // A policy is for what no rule has decided on: it stands behind them.
    if (line === 'COMMIT') rules.push(...policies.splice(0))
    const match = /^(?:\[(\d+):(\d+)\] )?-A (\S+) ?(.*)$/.exec(line)
    if (match) {
      const [, packets, bytes, chain = '', text = ''] = match
      rules.push(
        parseRule({
          where,
          family,
          table,
          chain,
          text,
          packets: integerOf(packets),
          bytes: integerOf(bytes),
        }),
      )
    }
  }
  return {
    hooks,
    rules: [...rules, ...policies].map((one) =>
      one.jump !== null && !chains.has(`${one.rule.table} ${one.jump}`) ? { ...one, jump: null } : one,
    ),
  }
}

const NOTHING: Side = { networks: [], interfaces: [] }

function parseRule(fields: Omit<Rule, 'target'>): ParsedRule {
  const source: { networks: string[]; interfaces: string[] } = { networks: [], interfaces: [] }
  const destination: typeof source = { networks: [], interfaces: [] }
  let target: string | null = null
  const words = splitWords(fields.text)
  for (let i = 0; i < words.length; i++) {
    const value = words[i + 1] ?? ''
    const isNegated = words[i - 1] === '!'
    if (words[i] === '-j' || words[i] === '-g') target = value
    else if (isNegated) continue
    else if (words[i] === '-s') source.networks.push(value)
    else if (words[i] === '-i') source.interfaces.push(value)
    else if (words[i] === '-d') destination.networks.push(value)
    else if (words[i] === '-o') destination.interfaces.push(value)
    else if (words[i] === '--to-destination') destination.networks.push(addressOf(value))
    else continue
    i++
  }
  if (target === 'DNAT') destination.networks.splice(0, destination.networks.length - 1)
  return { rule: { ...fields, target }, jump: target, source, destination, handle: null }
}

/** `172.17.0.2:80`, `[fd00::2]:80`, `10.0.0.1-10.0.0.9:80` → the first address. */
function addressOf(value: string): string {
  return /^\[([^\]]+)\]/.exec(value)?.[1] ?? (/^[\d.]+/.exec(value)?.[0] || value)
}

/** Words as the shell would split them: comments stand in quotes. */
function splitWords(text: string): string[] {
  return (text.match(/"(?:[^"\\]|\\.)*"|\S+/g) ?? []).map((word) =>
    word.startsWith('"') ? word.slice(1, -1).replace(/\\(.)/g, '$1') : word,
  )
}
