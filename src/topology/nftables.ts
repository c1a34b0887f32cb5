/** nftables: reads what `nft -j list ruleset` prints, and writes its rules much as nft does. */

import { type Fields, fieldsOf, integerOf, listOf, textOf } from './foreign.ts'
import { chainKey, type ParsedRule, type RuleSet, type Side } from './rules.ts'
import type { Rule } from './topology.ts'

const FAMILIES: readonly string[] = ['ip', 'ip6', 'inet', 'bridge', 'arp', 'netdev']
const VERDICTS = ['accept', 'drop', 'return', 'continue', 'queue', 'reject', 'masquerade', 'redirect']

/** Null where it is no JSON of nft's. `keeps` says which tables are wanted. */
export function parseNftables(
  json: string,
  where: Rule['where'],
  keeps: (family: string, table: string) => boolean = () => true,
): RuleSet | null {
  const hooks = new Map<string, string>()
  const rules: ParsedRule[] = []
  const parsed = tryJson(json)
  for (const entry of listOf(fieldsOf(parsed).nftables)) {
    const chain = placeOf(fieldsOf(entry).chain, 'name')
    if (chain && keeps(chain.family, chain.table)) {
      const { hook, policy } = fieldsOf(fieldsOf(entry).chain)
      if (typeof hook === 'string') hooks.set(chainKey(chain), hook)
      if (typeof policy === 'string' && policy !== 'accept') {
        const text = `policy ${policy.toUpperCase()}`
        const rule = { where, ...chain, text, target: policy.toUpperCase(), packets: null, bytes: null }
        rules.push({ rule, jump: null, source: NOTHING, destination: NOTHING, handle: null })
      }
    }
    const place = placeOf(fieldsOf(entry).rule, 'chain')
    if (place && keeps(place.family, place.table)) {
      const { expr, handle } = fieldsOf(fieldsOf(entry).rule)
      rules.push({
        ...parseRule({ where, ...place }, listOf(expr).map(fieldsOf)),
        handle: integerOf(handle),
      })
    }
  }
  return parsed === undefined ? null : { hooks, rules }
}

const NOTHING: Side = { networks: [], interfaces: [] }

type Place = Pick<Rule, 'where' | 'family' | 'table' | 'chain'>

function placeOf(value: unknown, chainField: 'name' | 'chain'): Omit<Place, 'where'> | null {
  const fields = fieldsOf(value)
  const family = textOf(fields.family)
  const table = textOf(fields.table)
  const chain = textOf(fields[chainField])
  if (family === null || table === null || chain === null || !FAMILIES.includes(family)) return null
  return { family: family as Rule['family'], table, chain }
}

function parseRule(place: Place, expressions: readonly Fields[]): Omit<ParsedRule, 'handle'> {
  const source: { networks: string[]; interfaces: string[] } = { networks: [], interfaces: [] }
  const destination: typeof source = { networks: [], interfaces: [] }
  const words: string[] = []
  let packets: number | null = null
  let bytes: number | null = null
  let target: string | null = null
  let jump: string | null = null
  for (const expression of expressions) {
    const [key = '', value] = Object.entries(expression)[0] ?? []
    const fields = fieldsOf(value)
    if (key === 'counter') {
      packets = integerOf(fields.packets)
      bytes = integerOf(fields.bytes)
      continue
    }
    words.push(textFor(key, value))
    if (key === 'match') addMatch(fields, source, destination)
    else if (key === 'jump' || key === 'goto') target = jump = textOf(fields.target)
    else if (VERDICTS.includes(key)) target = key.toUpperCase()
    else if (key === 'dnat' || key === 'snat') {
      target = key.toUpperCase()
      if (key === 'dnat') destination.networks = valuesOf(fields.addr)
    } else if (key === 'xt' && fields.type === 'target') target = textOf(fields.name)
  }
  return {
    rule: { ...place, text: words.filter(Boolean).join(' '), target, packets, bytes },
    jump,
    source,
    destination,
  }
}

function addMatch(
  { op, left, right }: Fields,
  source: { networks: string[]; interfaces: string[] },
  destination: { networks: string[]; interfaces: string[] },
): void {
  if (op !== '==' && op !== 'in') return
  const { key } = fieldsOf(fieldsOf(left).meta)
  const { field } = fieldsOf(fieldsOf(left).payload)
  const values = valuesOf(right)
  if (key === 'iifname' || key === 'iif') source.interfaces.push(...values)
  else if (key === 'oifname' || key === 'oif') destination.interfaces.push(...values)
  else if (field === 'saddr') source.networks.push(...values)
  else if (field === 'daddr') destination.networks.push(...values)
}

/** Addresses, networks and names in a value: one of them, a set, or a part of one. */
function valuesOf(value: unknown): string[] {
  if (typeof value === 'string') return [value]
  if (Array.isArray(value)) return value.flatMap(valuesOf)
  const { set, prefix, elem } = fieldsOf(value)
  if (set !== undefined) return valuesOf(set)
  if (elem !== undefined) return valuesOf(fieldsOf(elem).val)
  const { addr, len } = fieldsOf(prefix)
  const length = integerOf(len, 128)
  return typeof addr === 'string' && length !== null ? [`${addr}/${length}`] : []
}

function textFor(key: string, value: unknown): string {
  const fields = fieldsOf(value)
  if (key === 'match') {
    const op = fields.op === '==' || fields.op === 'in' ? '' : `${String(fields.op)} `
    return `${valueText(fields.left)} ${op}${valueText(fields.right)}`
  }
  if (key === 'jump' || key === 'goto') return `${key} ${textOf(fields.target) ?? ''}`
  if (key === 'dnat' || key === 'snat' || key === 'redirect') {
    const port = fields.port === undefined ? '' : `:${valueText(fields.port)}`
    const address = fields.addr === undefined ? '' : valueText(fields.addr)
    return address + port === '' ? key : `${key} to ${address}${port}`
  }
  if (key === 'xt') return `xt ${textOf(fields.type) ?? ''} ${textOf(fields.name) ?? ''}`.trim()
  if (key === 'reject') return 'reject'
  if (value === null || typeof value !== 'object') return value === null ? key : `${key} ${String(value)}`
  return `${key} ${valueText(value)}`
}

function valueText(value: unknown): string {
  if (typeof value === 'string' || typeof value === 'number') return String(value)
  if (Array.isArray(value)) return `{ ${value.map(valueText).join(', ')} }`
  const fields = fieldsOf(value)
  const { meta, payload, ct, prefix, set, range } = fields
  if (meta !== undefined) return textOf(fieldsOf(meta).key) ?? 'meta'
  if (payload !== undefined)
    return `${textOf(fieldsOf(payload).protocol) ?? ''} ${textOf(fieldsOf(payload).field) ?? ''}`.trim()
  if (ct !== undefined) return `ct ${textOf(fieldsOf(ct).key) ?? ''}`.trim()
  if (prefix !== undefined) return `${fieldsOf(prefix).addr}/${fieldsOf(prefix).len}`
  if (set !== undefined) return valueText(set)
  if (Array.isArray(range)) return range.map(valueText).join('-')
  return JSON.stringify(value)?.slice(0, 200) ?? ''
}

function tryJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
