/**
 * The trace keeper: puts the lines of a trace together to the ways of single packets, and keeps some of them: the first few
 * of each pair of addresses and ports, and one that was dropped.
 */

import type { TraceReceipt, TraceStep } from './model.ts'
import { parseTraceLine, type TraceHeader, type TraceLine } from './trace-lines.ts'

/** Tables of this program's runs. */
export const OWN_TABLE = /^hoptrace-\d{1,10}-[0-9a-f]{8}$/

/** The chain in it that does so. */
export const MARK_CHAIN = 'traced'

export const MAX_TRACES = 64
export const MAX_STEPS = 40
const MAX_FORMS = 4
/** Packets with the same addresses and ports. */
const MAX_ALIKE = 2
/** Packets that may be on their way at once; more are hardly told apart. */
const MAX_OPEN = 256

interface OpenTrace {
  header: TraceHeader
  timeNs: string
  /** Whether it was our rule that marked it: another run's, or somebody's, are not ours to tell. */
  isOurs: boolean
  forms: TraceReceipt['forms'][number][]
  steps: TraceStep[]
  omitted: number
}

export class TraceKeeper {
  readonly #table: string
  /** By what does not change on the way; the first one is the oldest. */
  readonly #open = new Map<string, OpenTrace>()
  /** The kernel's id changes on the way, and is given again. */
  readonly #byId = new Map<string, OpenTrace>()
  readonly #kept: OpenTrace[] = []
  readonly #dropped: OpenTrace[] = []
  readonly #counts = new Map<string, number>()

  /** `table`: the name of the one whose rule marks packets. */
  constructor(table: string) {
    this.#table = table
  }

  /** Takes in a line, whatever it is. `nowNs`: ns since 1970, as a decimal string. */
  take(line: string, nowNs: string): void {
    const parsed = parseTraceLine(line)
    if (parsed === null) return
    if (parsed.table === this.#table) this.#takeOwn(parsed, nowNs)
    else if (!OWN_TABLE.test(parsed.table)) this.#takeOther(parsed)
  }

  /** What is kept in the end, in the order of time. */
  finish(): TraceReceipt[] {
    for (const [key, trace] of this.#open) this.#settle(key, trace)
    const all = [...this.#kept, ...this.#dropped.filter((trace) => !this.#kept.includes(trace))]
    return all
      .sort((a, b) => (BigInt(a.timeNs) < BigInt(b.timeNs) ? -1 : 1))
      .map(({ header, timeNs, forms, steps, omitted }) => ({
        timeNs,
        protocol: header.protocol,
        ipId: header.ipId,
        tcpFlags: header.tcpFlags,
        forms,
        steps,
        ...(omitted > 0 ? { omitted } : {}),
      }))
  }

  /** Our chains come first: a packet begins there. */
  #takeOwn({ id, chain, event }: TraceLine, timeNs: string): void {
    if (event.kind === 'rule' && chain === MARK_CHAIN) {
      const trace = this.#byId.get(id)
      if (trace && trace.steps.length === 0) trace.isOurs = true
    }
    if (event.kind !== 'packet') return
    const { header } = event
    const before = this.#open.get(header.key)
    // Through a bridge and its host, it meets our chains twice.
    if (before) this.#settle(header.key, before)
    const trace: OpenTrace = { header, timeNs, isOurs: false, forms: [formOf(header)], steps: [], omitted: 0 }
    this.#open.set(header.key, trace)
    this.#remember(id, trace)
    if (this.#open.size > MAX_OPEN) {
      const [[key, oldest]] = this.#open as Iterable<[string, OpenTrace]> as [[string, OpenTrace]]
      this.#settle(key, oldest)
    }
  }

  #takeOther({ id, family, table, chain, event }: TraceLine): void {
    if (event.kind === 'packet') {
      const trace = this.#open.get(event.header.key) ?? this.#sameBuffer(id, event.header)
      if (trace) this.#remember(id, trace)
      else this.#byId.delete(id)
      const form = formOf(event.header)
      if (trace && trace.forms.length < MAX_FORMS && !trace.forms.some((one) => isSame(one, form)))
        trace.forms.push(form)
      return
    }
    const trace = this.#byId.get(id)
    if (!trace) return
    if (trace.steps.length >= MAX_STEPS) {
      trace.omitted++
      // What came of it is worth more than the way there.
      if (!isEnd(event.verdict)) return
      trace.steps.pop()
    }
    const isRule = event.kind === 'rule'
    trace.steps.push({
      family: family as TraceStep['family'],
      table,
      chain,
      number: null,
      handle: isRule ? event.handle : null,
      text: isRule ? event.text : null,
      isPolicy: !isRule,
      verdict: event.verdict,
    })
  }

  /** Behind a rule that rewrites its source, a packet is known by its id only, and by what else it says. */
  #sameBuffer(id: string, header: TraceHeader): OpenTrace | null {
    const trace = this.#byId.get(id)
    if (!trace) return null
    const { ipId, tcpFlags, protocol } = trace.header
    const isAlike = ipId === header.ipId && tcpFlags === header.tcpFlags
    return isAlike && (header.protocol === protocol || header.protocol === '') ? trace : null
  }

  #remember(id: string, trace: OpenTrace): void {
    this.#byId.delete(id)
    this.#byId.set(id, trace)
    if (this.#byId.size > 2 * MAX_OPEN) this.#byId.delete(this.#byId.keys().next().value!)
  }

  #settle(key: string, trace: OpenTrace): void {
    this.#open.delete(key)
    if (!trace.isOurs || trace.steps.length === 0) return
    const { src, dst, sport, dport, protocol } = trace.header
    const pair = `${protocol} ${src} ${sport} ${dst} ${dport}`
    const count = this.#counts.get(pair) ?? 0
    if (count < MAX_ALIKE && this.#kept.length < MAX_TRACES) {
      this.#counts.set(pair, count + 1)
      this.#kept.push(trace)
    }
    const isNew = !this.#dropped.some(({ header }) => isSame(header, trace.header))
    if (trace.steps.at(-1)!.verdict === 'drop' && isNew && this.#dropped.length < MAX_TRACES)
      this.#dropped.push(trace)
  }
}

function isEnd(verdict: string): boolean {
  return verdict === 'drop' || verdict === 'accept' || verdict === 'stolen' || verdict.startsWith('queue')
}

function formOf({ src, dst, sport, dport }: TraceHeader): TraceReceipt['forms'][number] {
  return { src, dst, sport, dport }
}

type Form = TraceReceipt['forms'][number]

function isSame(a: Form, b: Form): boolean {
  return a.src === b.src && a.dst === b.dst && a.sport === b.sport && a.dport === b.dport
}
