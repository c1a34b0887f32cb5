/** Rule paths: which traced packets are a flow's, and what the rules that they met are called. */

import type { DirectionName, JoinedFlow, RulePath } from '../correlate/joined-flow.ts'
import type { NamespaceReceipts, TraceReceipt, TraceStep } from '../receipts/model.ts'
import type { Cause } from './cause.ts'
import { formsOf } from './forms.ts'
import {
  type CountedRule,
  inNamespace,
  moved,
  type ReceiptReader,
  ruleCheck,
  ruleLabel,
} from './receipt-reader.ts'

/** Traces are told some time after their packet; addresses and ports may be used again later. */
const SLACK_NS = 3_000_000_000n
const MAX_PATHS = 8

/** A traced packet, and where it was. */
export interface TracedPacket {
  readonly namespace: NamespaceReceipts
  readonly trace: TraceReceipt
}

/** Adds to a flow the ways of its first packet, and of the first one that was dropped, in each namespace. */
export function addRulePaths(flow: JoinedFlow, reader: ReceiptReader): void {
  if (!reader.hasTraces) return
  const paths = (['forward', 'reverse'] as const).flatMap((direction) => {
    const packets = tracedPackets(flow, direction, reader)
    const told = packets.filter(
      (one, i) =>
        packets.findIndex((it) => it.namespace === one.namespace) === i ||
        (isDropped(one) && packets.findIndex((it) => it.namespace === one.namespace && isDropped(it)) === i),
    )
    return told.map((packet) => pathOf(packet, direction))
  })
  if (paths.length > 0) flow.rulePath = paths.slice(0, MAX_PATHS)
}

/** Of a flow's direction, in the order of time. */
export function tracedPackets(
  flow: JoinedFlow,
  direction: DirectionName,
  reader: ReceiptReader,
): TracedPacket[] {
  if (!reader.hasTraces) return []
  const [from, to] = [BigInt(flow.firstNs) - SLACK_NS, BigInt(flow.lastNs) + SLACK_NS]
  return reader.traced(formsOf(flow, direction)).filter(({ trace }) => {
    const timeNs = BigInt(trace.timeNs)
    return timeNs >= from && timeNs <= to
  })
}

/** What the traces of lost packets say of why: sure, as the kernel names the rule. */
export function tracedCauses(packets: readonly TracedPacket[]): Cause[] {
  const causes = new Map<string, Cause>()
  for (const packet of packets.filter(isDropped)) {
    const step = packet.trace.steps.at(-1)!
    const counted = countedRule(step, packet.namespace)
    const what = `${ruleLabel(counted)} ${isReject(counted.rule.text) ? 'rejects' : 'drops'} it`
    const count = counted.packets
    const more = count > 0 ? `, +${count} packet${count === 1 ? '' : 's'} during the capture` : ''
    const check = isPlain(step) ? ruleCheck(counted) : inNamespace(packet.namespace, 'nft -a list ruleset')
    if (!causes.has(what))
      causes.set(what, { id: 'rule', what, isConfirmed: true, receipt: `traced to it${more}`, check })
  }
  return [...causes.values()]
}

/** The rule of a step as the receipts have it, with its counter; else as the trace spells it. */
export function countedRule(step: TraceStep, namespace: NamespaceReceipts): CountedRule {
  const known = namespace.rules.find(
    (rule) =>
      rule.family === step.family &&
      rule.table === step.table &&
      rule.chain === step.chain &&
      (rule.handle !== null && step.handle !== null
        ? rule.handle === step.handle
        : rule.number === step.number && (step.isPolicy || step.number !== null)),
  )
  if (known) return { rule: known, namespace, packets: moved(known.packets) }
  const none = { before: null, after: null }
  return {
    namespace,
    packets: 0,
    rule: {
      backend: 'nft',
      family: step.family,
      table: step.table,
      chain: step.chain,
      number: step.number,
      handle: step.handle,
      text: step.isPolicy ? `policy ${step.verdict}` : (step.text ?? `handle ${step.handle}, gone since`),
      target: step.verdict,
      to: null,
      change: 'same',
      packets: none,
      bytes: none,
    },
  }
}

function isDropped({ trace }: TracedPacket): boolean {
  return trace.steps.at(-1)?.verdict === 'drop'
}

function isReject(text: string): boolean {
  return /(?:^| )(?:-j REJECT|reject)\b/.test(text)
}

/** Names that can stand in a command. */
function isPlain({ table, chain }: TraceStep): boolean {
  return /^[\w-]+$/.test(table) && /^[\w-]+$/.test(chain)
}

function pathOf({ namespace, trace }: TracedPacket, direction: DirectionName): RulePath {
  const { timeNs, tcpFlags, ipId, steps, forms } = trace
  return {
    direction,
    namespace: namespace.name,
    ...{ timeNs, tcpFlags, ipId },
    src: forms[0]!.src,
    dst: forms[0]!.dst,
    steps,
  }
}
