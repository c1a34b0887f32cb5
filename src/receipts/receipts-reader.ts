/** The receipts reader: reads what the kernel counts before a capture and after it, and tells the difference. Read-only, unless it is to trace. */

import { hostname, release } from 'node:os'
import { KernelDropReader } from './kernel-drops.ts'
import { type NotRead, RECEIPTS_SCHEMA, type Receipts } from './model.ts'
import { inodeOf, NamespaceReader, type ReceiptNamespace } from './namespace-reader.ts'
import { type TraceTask, Tracing } from './tracing.ts'

export type { ReceiptNamespace } from './namespace-reader.ts'

export interface ReceiptOptions {
  /** Addresses of the captured containers: their connections and rules are told first. */
  readonly addresses?: readonly string[]
  /** What was begun before, as that takes time; or why it could not be. It is the reader's to close. */
  readonly drops?: KernelDropReader | string
  /** Traces packets through the rules; not there: no. This alone changes anything, for the time of the capture. */
  readonly trace?: TraceTask | null
}

export interface ReceiptsReader {
  /** Reads the beginning. Never rejects: what can't be read is told in `notRead`. */
  begin(): Promise<void>
  /** Reads the end; to be called once. */
  end(): Promise<Receipts>
  /** Leaves nothing behind, whether or not there was an end. */
  close(): void
}

/** For these namespaces, the host's first. One that is there by two paths is read once, by the first. */
export function openReceipts(
  given: readonly ReceiptNamespace[],
  { addresses = [], drops = KernelDropReader.begin(), trace = null }: ReceiptOptions = {},
): ReceiptsReader {
  const namespaces = joinTwins(given)
  const notRead = new Map<string, NotRead>()
  const note = (namespace: string | null, what: string, why: string) =>
    notRead.set(`${namespace} ${what}`, { namespace, what, why: why.slice(0, 300) })
  const readers = namespaces.map(
    (one) => new NamespaceReader(one, addresses, (what, why) => note(one.name, what, why)),
  )
  const tracing = trace === null ? null : new Tracing(trace, note)
  if (typeof drops === 'string') note(null, 'kernel drop reasons', drops)
  const dropReader = typeof drops === 'string' ? null : drops
  let beginNs = 0n
  return {
    async begin() {
      await Promise.all(readers.map((reader) => reader.begin()))
      // Behind the rules, so that its table is none of them.
      await tracing?.begin(
        readers.flatMap(({ path }, i) => {
          const { name, path: named } = namespaces[i]!
          // One that has ended by now has none.
          return path === null && named !== null ? [] : { name, path }
        }),
      )
      dropReader?.restart()
      beginNs = nowNs()
    },
    async end() {
      const endNs = nowNs()
      dropReader?.look()
      const counts = dropReader?.counts
      if (counts && counts.lost > 0)
        note(null, 'kernel drop reasons', `${counts.lost} drops came too fast to be counted`)
      const traces = await tracing?.end()
      const read = await Promise.all(
        readers.map(async (reader) => {
          const receipts = await reader.end()
          const found = traces?.get(reader.path)
          return receipts && found ? { ...receipts, traces: found } : receipts
        }),
      )
      return {
        schema: RECEIPTS_SCHEMA,
        beginNs: String(beginNs),
        endNs: String(endNs),
        hostname: hostname(),
        kernel: release(),
        namespaces: read.filter((one) => one !== null),
        drops: counts?.list() ?? [],
        notRead: [...notRead.values()],
      }
    },
    close() {
      tracing?.close()
      dropReader?.close()
      for (const reader of readers) reader.close()
    },
  }
}

/** A container's namespace may be known by its process, and by the name that a point was given with. */
function joinTwins(namespaces: readonly ReceiptNamespace[]): ReceiptNamespace[] {
  const found = new Map<number | string, ReceiptNamespace>()
  for (const one of namespaces) {
    const key = inodeOf(one.path) ?? `${one.path}`
    const { points, interfaces, ...twin } = found.get(key) ?? { ...one, points: [], interfaces: [] }
    found.set(key, {
      ...twin,
      points: [...points, ...one.points],
      interfaces: [...interfaces, ...one.interfaces],
    })
  }
  return [...found.values()]
}

function nowNs(): bigint {
  return BigInt(Math.round((performance.timeOrigin + performance.now()) * 1e3)) * 1000n
}
