/** The receipts reader: reads what the kernel counts before a capture and after it, and tells the difference. Read-only. */

import { hostname, release } from 'node:os'
import { type DropCounts, KernelDropReader } from './kernel-drops.ts'
import { type NotRead, RECEIPTS_SCHEMA, type Receipts } from './model.ts'
import { NamespaceReader, type ReceiptNamespace } from './namespace-reader.ts'

export type { ReceiptNamespace } from './namespace-reader.ts'

export interface ReceiptOptions {
  /** Addresses of the captured containers: their connections and rules are told first. */
  readonly addresses?: readonly string[]
}

export interface ReceiptsReader {
  /** Reads the beginning. Never rejects: what can't be read is told in `notRead`. */
  begin(): Promise<void>
  /** Reads the end; to be called once. */
  end(): Promise<Receipts>
  /** Leaves nothing behind, whether or not there was an end. */
  close(): void
}

/** For these namespaces, the host's first. */
export function openReceipts(
  namespaces: readonly ReceiptNamespace[],
  { addresses = [] }: ReceiptOptions = {},
): ReceiptsReader {
  const notRead = new Map<string, NotRead>()
  const note = (namespace: string | null, what: string, why: string) =>
    notRead.set(`${namespace} ${what}`, { namespace, what, why: why.slice(0, 300) })
  const readers = namespaces.map(
    (one) => new NamespaceReader(one, addresses, (what, why) => note(one.name, what, why)),
  )
  let drops: KernelDropReader | null = null
  let beginNs = 0n
  const endDrops = (): DropCounts | null => {
    const ended = drops
    drops = null
    ended?.end()
    return ended?.counts ?? null
  }
  return {
    async begin() {
      await Promise.all(readers.map((reader) => reader.begin()))
      // Last: setting rules and namespaces up is over by now.
      const begun = KernelDropReader.begin()
      if (typeof begun === 'string') note(null, 'kernel drop reasons', begun)
      else drops = begun
      beginNs = nowNs()
    },
    async end() {
      const endNs = nowNs()
      const counts = endDrops()
      if (counts !== null && counts.lost > 0)
        note(null, 'kernel drop reasons', `${counts.lost} drops came too fast to be counted`)
      const read = await Promise.all(readers.map((reader) => reader.end()))
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
      endDrops()
      for (const reader of readers) reader.close()
    },
  }
}

function nowNs(): bigint {
  return BigInt(Math.round((performance.timeOrigin + performance.now()) * 1e3)) * 1000n
}
