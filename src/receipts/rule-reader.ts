/** The rule reader: all rules of a namespace with their counters, whichever of the three tools keeps them. */

import { type Outcome, runIn } from '../topology/programs.ts'
import type { Note } from './namespace-reader.ts'
import { countIptables, countNftables, type RuleCounts } from './rules.ts'

/**
 * Reads them in the namespace at `netnsPath` (null: the own one); null where nothing can be read. `legacy` says whether
 * the older kind of tables is in use, which other programs tell.
 */
export async function readRuleCounts(
  netnsPath: string | null,
  legacy: { readonly ip: boolean; readonly ip6: boolean },
  note: Note,
): Promise<RuleCounts | null> {
  const counts: RuleCounts = new Map()
  const told = new Set<string>()
  const [v4, v6, nft] = await Promise.all([
    readIptables(netnsPath, 'ip', legacy.ip, counts, told),
    readIptables(netnsPath, 'ip6', legacy.ip6, counts, told),
    runIn(netnsPath, 'nft', '-j', 'list', 'ruleset'),
  ])
  const isRead =
    nft.ok && countNftables(nft.stdout, (family, table) => told.has(`${family} ${table}`), counts)
  const wrong = [v4, v6].flatMap((outcome) => (outcome.ok || outcome.missing ? [] : outcome.why))
  if (wrong.length > 0) note('iptables-save', wrong[0]!)
  if (!v4.ok && v4.missing && !nft.ok && nft.missing)
    note('rules', 'neither iptables-save nor nft is installed')
  else if (!nft.ok && !nft.missing) note('nft list ruleset', nft.why)
  return v4.ok || v6.ok || isRead ? counts : null
}

/** Adds the tables of nftables that iptables keeps to `told`; the legacy ones are others, though of the same names. */
async function readIptables(
  netnsPath: string | null,
  family: 'ip' | 'ip6',
  hasLegacy: boolean,
  counts: RuleCounts,
  told: Set<string>,
): Promise<Outcome> {
  const stem = family === 'ip' ? 'iptables' : 'ip6tables'
  const modern = await runIn(netnsPath, `${stem}-nft-save`, '-c')
  if (modern.ok)
    for (const table of countIptables(modern.stdout, family, 'iptables', counts))
      told.add(`${family} ${table}`)
  if (modern.ok && !hasLegacy) return modern
  const older = await runIn(netnsPath, modern.ok ? `${stem}-legacy-save` : `${stem}-save`, '-c')
  if (older.ok) countIptables(older.stdout, family, modern.ok ? 'iptables-legacy' : 'iptables', counts)
  return older
}
