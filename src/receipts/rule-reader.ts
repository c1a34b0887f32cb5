/** The rule reader: all rules of a namespace with their counters, whichever of the three tools keeps them. */

import { fieldsOf, listOf, textOf } from '../topology/foreign.ts'
import { type Outcome, runIn } from '../topology/programs.ts'
import type { Note } from './namespace-reader.ts'
import { countIptables, countNftables, type RuleCounts } from './rules.ts'
import { OWN_TABLE } from './trace-keeper.ts'

/** Tables that iptables keeps in nftables: it spells them better. */
const IPTABLES_TABLES = ['raw', 'mangle', 'nat', 'filter', 'security']

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
  // Cheap, and most namespaces have none: then there is nothing to ask the others for.
  const listed = await runIn(netnsPath, 'nft', '-j', 'list', 'tables')
  const tables = listed.ok ? tablesIn(listed.stdout) : null
  const [v4, v6] = await Promise.all(
    (['ip', 'ip6'] as const).map((family) => {
      const isUsed = tables === null || IPTABLES_TABLES.some((table) => tables.has(`${family} ${table}`))
      return readIptables(netnsPath, family, isUsed, legacy[family], counts)
    }),
  )
  const told = new Set([...v4!.told, ...v6!.told])
  const wrong = [...v4!.outcomes, ...v6!.outcomes].flatMap((outcome) =>
    outcome.ok || outcome.missing ? [] : outcome.why,
  )
  if (wrong.length > 0) note('iptables-save', wrong[0]!)
  // What a run of this program has there for a while is no rule of the host.
  const isTold = (family: string, table: string) => told.has(`${family} ${table}`) || OWN_TABLE.test(table)
  const hasOthers = tables !== null && [...tables].some((table) => !told.has(table))
  const nft = hasOthers ? await runIn(netnsPath, 'nft', '-j', 'list', 'ruleset') : listed
  if (!nft.ok && !nft.missing) note('nft list ruleset', nft.why)
  const isRead = nft.ok && (!hasOthers || countNftables(nft.stdout, isTold, counts))
  const areRead = [v4!, v6!].some(({ outcomes }) => outcomes.some(({ ok }) => ok))
  if (!areRead && !isRead && listed.ok === false && listed.missing && wrong.length === 0)
    note('rules', 'neither iptables-save nor nft is installed')
  return areRead || isRead ? counts : null
}

/** `ip filter` and the like; null where that is no JSON. */
function tablesIn(json: string): Set<string> | null {
  try {
    return new Set(
      listOf(fieldsOf(JSON.parse(json)).nftables).flatMap((entry) => {
        const { family, name } = fieldsOf(fieldsOf(entry).table)
        return textOf(family) === null || OWN_TABLE.test(textOf(name) ?? '') ? [] : `${family} ${name}`
      }),
    )
  } catch {
    return null
  }
}

/** What was asked, and the tables of nftables that were told; legacy ones are others, though of the same names. */
async function readIptables(
  netnsPath: string | null,
  family: 'ip' | 'ip6',
  isUsed: boolean,
  hasLegacy: boolean,
  counts: RuleCounts,
): Promise<{ outcomes: Outcome[]; told: string[] }> {
  const stem = family === 'ip' ? 'iptables' : 'ip6tables'
  const outcomes: Outcome[] = []
  const told: string[] = []
  let hasModern = true
  if (isUsed) {
    const modern = await runIn(netnsPath, `${stem}-nft-save`, '-c')
    outcomes.push(modern)
    if (modern.ok)
      for (const table of countIptables(modern.stdout, family, 'iptables', counts))
        told.push(`${family} ${table}`)
    // Before 1.8 there was but one kind.
    else if (modern.missing) hasModern = false
  }
  if (!hasLegacy && hasModern) return { outcomes, told }
  const older = await runIn(netnsPath, `${stem}-legacy-save`, '-c')
  const any = older.ok || !older.missing ? older : await runIn(netnsPath, `${stem}-save`, '-c')
  outcomes.push(any)
  const backend = hasModern ? 'iptables-legacy' : 'iptables'
  if (any.ok) countIptables(any.stdout, family, backend, counts)
  return { outcomes, told }
}
