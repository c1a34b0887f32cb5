/** Rule sets: reads the packet filter of a network namespace, with iptables-save and with nft, whichever there is. */

import { parseIptables } from './iptables.ts'
import { parseNftables } from './nftables.ts'
import { type Outcome, runIn } from './programs.ts'
import type { RuleSet } from './rules.ts'

/** Tables that iptables-nft keeps in nftables: iptables-save tells them better. */
const IPTABLES_TABLES = ['raw', 'mangle', 'nat', 'filter', 'security']

/** Reads all rules of the namespace at `netnsPath` (null: the host's). What is missing or not permitted becomes a note. */
export async function readRules(netnsPath: string | null, notes: string[]): Promise<RuleSet> {
  const where = netnsPath === null ? 'host' : 'container'
  const [v4, v6, nft] = await Promise.all([
    runIn(netnsPath, 'iptables-save', '-c'),
    runIn(netnsPath, 'ip6tables-save', '-c'),
    runIn(netnsPath, 'nft', '-j', 'list', 'ruleset'),
  ])
  const sets: (RuleSet | null)[] = []
  for (const [outcome, family, legacy] of [
    [v4, 'ip', 'iptables-legacy-save'],
    [v6, 'ip6', 'ip6tables-legacy-save'],
  ] as const) {
    if (!outcome.ok) continue
    sets.push(parseIptables(outcome.stdout, family, where))
    // It warns where the older kind of tables is in use as well.
    if (/-legacy tables present/.test(outcome.stdout + outcome.stderr)) {
      const older = await runIn(netnsPath, legacy, '-c')
      if (older.ok) sets.push(parseIptables(older.stdout, family, where))
    }
  }
  if (nft.ok) {
    const isTold = (family: string, table: string) =>
      IPTABLES_TABLES.includes(table) && ((family === 'ip' && v4.ok) || (family === 'ip6' && v6.ok))
    sets.push(parseNftables(nft.stdout, where, (family, table) => !isTold(family, table)))
  }
  if (!v4.ok && !nft.ok && netnsPath === null) notes.push(whyUnread(v4, nft))
  return joinSets(sets.filter((set) => set !== null))
}

function whyUnread(iptables: Outcome, nft: Outcome): string {
  if (iptables.ok || nft.ok) return ''
  if (iptables.missing && nft.missing)
    return 'rules of the packet filter could not be read: neither iptables-save nor nft is installed'
  const { why } = iptables.missing ? nft : iptables
  const isRefused = /permi|must be root|permitted/i.test(why)
  return `rules of the packet filter could not be read: ${isRefused ? 'only root may: run it with sudo' : why}`
}

function joinSets(sets: readonly RuleSet[]): RuleSet {
  return {
    rules: sets.flatMap(({ rules }) => rules),
    hooks: new Map(sets.flatMap(({ hooks }) => [...hooks])),
  }
}
