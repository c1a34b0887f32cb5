/** The namespace reader: what the kernel counts in one network namespace, read at the beginning and at the end. */

import { closeSync, openSync, statSync } from 'node:fs'
import { inNetworkNamespace } from '../capture/live/network-namespace.ts'
import { HoptraceError } from '../errors.ts'
import { runIn } from '../topology/programs.ts'
import { EntryKeeper, joinEntries } from './conntrack.ts'
import {
  type Counters,
  movedCounters,
  parseConntrackStatistics,
  parseSnmp,
  parseSnmp6,
  parseSoftnet,
} from './counters.ts'
import { numberIn, readHead, readText } from './files.ts'
import { isFrozen } from './freezer.ts'
import { LineProgram } from './line-program.ts'
import type { ConntrackEntry, Listener, NamespaceReceipts } from './model.ts'
import {
  compareLinks,
  type LinkState,
  parseLinkStates,
  parseListeners,
  parseNeighbours,
  parseQueues,
  parseRoutes,
} from './network-state.ts'
import { readRuleCounts } from './rule-reader.ts'
import { compareRules, type RuleCounts } from './rules.ts'
import { compareSettings, readSettings, type Settings, settingsAt } from './settings.ts'

/** A namespace to read, and what is captured in it. */
export interface ReceiptNamespace {
  readonly name: string
  /** Path of the namespace; null for the program's own. */
  readonly path: string | null
  readonly points: readonly string[]
  /** Names of the captured interfaces in it. */
  readonly interfaces: readonly string[]
}

/** What could not be read of it, and why. */
export type Note = (what: string, why: string) => void

interface Snapshot {
  readonly counters: Counters
  readonly conntrack: Counters
  readonly count: number | null
  readonly settings: Settings
  readonly links: ReadonlyMap<number, LinkState>
  readonly queues: ReadonlyMap<string, Counters>
  readonly rules: RuleCounts | null
}

const NET = '/proc/thread-self/net'
const COUNT = '/proc/sys/net/netfilter/nf_conntrack_count'
const CONNTRACK_TIMEOUT_MS = 5000
/** Socket buffer for events, in bytes: where it is too small, conntrack gives up. */
const EVENT_BYTES = 4 << 20

export class NamespaceReader {
  readonly #namespace: ReceiptNamespace
  readonly #note: Note
  /** Addresses of the captured containers. */
  readonly #addresses: readonly string[]
  readonly #inode: number | null
  /** Held open: its counters can be read after the container has ended. */
  readonly #held: number = -1
  #before: Snapshot | null = null
  #events: { program: LineProgram; kept: EntryKeeper } | null = null

  constructor(namespace: ReceiptNamespace, addresses: readonly string[], note: Note) {
    this.#namespace = namespace
    this.#addresses = addresses
    this.#note = note
    this.#inode = inodeOf(namespace.path)
    try {
      if (namespace.path !== null) this.#held = openSync(namespace.path, 'r')
    } catch (error) {
      note('namespace', `it can't be opened (${(error as NodeJS.ErrnoException).code})`)
    }
  }

  async begin(): Promise<void> {
    if (this.#isGone) return
    this.#followConnections()
    this.#before = await this.#read()
  }

  /** What moved since. */
  async end(): Promise<NamespaceReceipts | null> {
    const before = this.#before
    if (before === null) return null
    const { name, points, path, interfaces: captured } = this.#namespace
    if (path !== null && inodeOf(path) !== this.#inode)
      this.#note('namespace', 'it ended while the capture ran: what came after it is not counted')
    const begun = await this.#endOfEvents()
    const [after, table, state] = await Promise.all([
      this.#read(),
      this.#readConnections(),
      this.#readState(),
    ])
    const { rules, omitted } = compareRules(
      before.rules ?? new Map(),
      (before.rules && after.rules) ?? new Map(),
      this.#addresses,
    )
    if (omitted > 0) this.#note('rules', `${omitted} further ones are not told: there are too many`)
    const interfaces = this.#inside(() => compareLinks(before, after, captured, settingsAt(readText)), [])
    const pid = /^\/proc\/(\d+)\//.exec(path ?? '')?.[1]
    const frozen = isFrozen(Number(pid), readText)
    return {
      name,
      inode: this.#inode,
      points,
      rules,
      ruleCount: after.rules?.size ?? null,
      conntrack:
        after.count === null
          ? null
          : {
              count: { before: before.count, after: after.count },
              max: after.settings.get('net.netfilter.nf_conntrack_max') ?? null,
              stats: movedCounters(before.conntrack, after.conntrack),
              entries: joinEntries(table.entries, begun.entries),
              omitted: table.omitted + begun.omitted,
            },
      settings: compareSettings(before.settings, after.settings),
      counters: movedCounters(before.counters, after.counters),
      interfaces,
      ...state,
      ...(pid === undefined ? {} : { processes: frozen === null ? null : { isFrozen: frozen } }),
    }
  }

  /** Ends what runs. */
  close(): void {
    void this.#events?.program.stop()
    if (this.#held >= 0) closeSync(this.#held)
  }

  get #isGone(): boolean {
    return this.#namespace.path !== null && this.#held < 0
  }

  /** A path by which programs find it as long as we hold it. */
  get path(): string | null {
    return this.#held < 0 ? null : `/proc/${process.pid}/fd/${this.#held}`
  }

  async #read(): Promise<Snapshot> {
    const { interfaces, path } = this.#namespace
    const files = this.#inside(
      () => ({
        counters: new Map([
          ...parseSnmp(readText(`${NET}/snmp`) ?? ''),
          ...parseSnmp(readText(`${NET}/netstat`) ?? ''),
          ...parseSnmp6(readText(`${NET}/snmp6`) ?? ''),
          // One table for the whole machine.
          ...(path === null ? parseSoftnet(readText(`${NET}/softnet_stat`) ?? '') : []),
        ]),
        conntrack: parseConntrackStatistics(readText(`${NET}/stat/nf_conntrack`) ?? ''),
        count: numberIn(COUNT),
        settings: readSettings(readText, interfaces),
        legacyTables: readText(`${NET}/ip_tables_names`) ?? '',
        legacyTables6: readText(`${NET}/ip6_tables_names`) ?? '',
      }),
      null,
    )
    const none = { counters: new Map(), conntrack: new Map(), count: null, settings: new Map() }
    const legacy = { ip: Boolean(files?.legacyTables), ip6: Boolean(files?.legacyTables6) }
    const [rules, links] = await Promise.all([
      readRuleCounts(this.path, legacy, this.#note),
      this.#readLinks(),
    ])
    const { counters, conntrack, count, settings } = files ?? none
    return {
      ...{ counters, conntrack, count, settings, rules },
      ...links,
    }
  }

  async #readLinks(): Promise<Pick<Snapshot, 'links' | 'queues'>> {
    const addr = await runIn(this.path, 'ip', '-j', '-s', '-s', '-d', 'addr')
    if (!addr.ok) this.#note('ip addr', addr.missing ? 'ip is not installed (package iproute2)' : addr.why)
    const links = (addr.ok && parseLinkStates(addr.stdout)) || new Map()
    if (![...links.values()].some(({ hasQueue }) => hasQueue)) return { links, queues: new Map() }
    const tc = await runIn(this.path, 'tc', '-s', '-j', 'qdisc')
    if (!tc.ok) this.#note('tc qdisc', tc.missing ? 'tc is not installed (package iproute2)' : tc.why)
    return { links, queues: (tc.ok && parseQueues(tc.stdout)) || new Map() }
  }

  async #readState(): Promise<Pick<NamespaceReceipts, 'routes' | 'neighbours' | 'listeners'>> {
    const [routes, routes6, neighbours] = await Promise.all([
      runIn(this.path, 'ip', '-j', '-d', '-4', 'route', 'show', 'table', 'all'),
      runIn(this.path, 'ip', '-j', '-d', '-6', 'route', 'show', 'table', 'all'),
      runIn(this.path, 'ip', '-j', 'neigh'),
    ])
    if (!routes.ok && !routes.missing) this.#note('ip route', routes.why)
    const listeners = this.#inside(
      () =>
        (['tcp', 'tcp6', 'udp', 'udp6'] as const).flatMap((name): Listener[] =>
          parseListeners(readHead(`${NET}/${name}`), name.startsWith('tcp') ? 'tcp' : 'udp'),
        ),
      [],
    )
    return {
      routes: [
        ...(routes.ok ? parseRoutes(routes.stdout, 'ip') : []),
        ...(routes6.ok ? parseRoutes(routes6.stdout, 'ip6') : []),
      ],
      neighbours: neighbours.ok ? parseNeighbours(neighbours.stdout) : [],
      listeners,
    }
  }

  /** The table, where there is anything in it: to ask for it would load what tracks connections. */
  async #readConnections(): Promise<{ entries: ConntrackEntry[]; omitted: number }> {
    const kept = new EntryKeeper(this.#addresses)
    if (!this.#inside(() => numberIn(COUNT), null)) return kept.finish()
    const words = ['conntrack', '-L', '-o', 'extended']
    const { missing, why } = await new LineProgram(
      this.path,
      words,
      (line) => kept.take(line, true),
      CONNTRACK_TIMEOUT_MS,
    ).ended
    if (why !== null)
      this.#note('conntrack -L', missing ? 'conntrack is not installed (package conntrack)' : why)
    return kept.finish()
  }

  /** Short connections are gone from the table before the end. Containers hardly ever track any. */
  #followConnections(): void {
    const count = this.#inside(() => numberIn(COUNT), null)
    if (count === null || (count === 0 && this.#namespace.path !== null)) return
    const kept = new EntryKeeper(this.#addresses)
    const words = ['conntrack', '-E', '-e', 'NEW', '-o', 'timestamp,extended', '-b', String(EVENT_BYTES)]
    this.#events = { program: new LineProgram(this.path, words, (line) => kept.take(line, false)), kept }
  }

  async #endOfEvents(): Promise<{ entries: ConntrackEntry[]; omitted: number }> {
    if (this.#events === null) return { entries: [], omitted: 0 }
    const { program, kept } = this.#events
    const { missing, why } = await program.stop()
    if (why !== null && !missing) this.#note('conntrack -E', why)
    return kept.finish()
  }

  /** Does something synchronous inside; `otherwise` where it can't be entered, which is told. */
  #inside<T>(work: () => T, otherwise: T): T {
    if (this.#isGone) return otherwise
    try {
      return inNetworkNamespace(this.path, work)
    } catch (error) {
      if (!(error instanceof HoptraceError)) throw error
      this.#note('namespace', error.message)
      return otherwise
    }
  }
}

/** Of this program's own, where `path` is null. Null where there is none. */
export function inodeOf(path: string | null): number | null {
  try {
    return statSync(path ?? '/proc/self/ns/net').ino
  } catch {
    return null
  }
}
