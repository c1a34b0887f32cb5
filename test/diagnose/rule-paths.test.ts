import { describe, expect, test } from 'vitest'
import { lossCauses } from '../../src/diagnose/loss-causes.ts'
import { ReceiptReader } from '../../src/diagnose/receipt-reader.ts'
import { addRulePaths } from '../../src/diagnose/rule-paths.ts'
import type { NamespaceReceipts, Receipts, RuleReceipt, TraceReceipt } from '../../src/receipts/model.ts'
import { TraceKeeper } from '../../src/receipts/trace-keeper.ts'
import { renderText } from '../../src/report/text.ts'
import { displayWidth } from '../../src/report/width.ts'
import { recorded } from '../receipts/recorded.ts'
import { flow, loss, report, way } from '../report/scenarios.ts'

const BEGIN_NS = 1_795_300_329_142_743_000n

const keeper = new TraceKeeper('hoptrace-4711-0a1b2c3d')
for (const line of recorded('nft-trace.txt').split('\n')) keeper.take(line, String(BEGIN_NS))
/** With the rule numbers that DOCKER-USER had: REJECT, DROP, RETURN. */
const TRACES = keeper.finish().map((trace) => ({
  ...trace,
  steps: trace.steps.map((step) => ({
    ...step,
    number: step.handle === null ? null : (step.handle % 5) + 1,
  })),
}))

/** Which is about a SYN to a port from the same port as the recorded one. */
function traced(dport: number): TraceReceipt {
  return TRACES.find(({ forms }) => forms[0]!.dport === dport)!
}

function rule(number: number, text: string, packets: number): RuleReceipt {
  return {
    ...{
      backend: 'iptables',
      family: 'ip',
      table: 'filter',
      chain: 'DOCKER-USER',
      number,
      handle: null,
      text,
    },
    ...{ target: 'DROP', to: null, change: 'counted' },
    packets: { before: 0, after: packets },
    bytes: { before: 0, after: packets * 60 },
  }
}

function reader(traces: TraceReceipt[], rules: RuleReceipt[] = [], name = 'host'): ReceiptReader {
  const namespace: NamespaceReceipts = {
    ...{ name, inode: 1, points: ['bridge', 'uplink'], rules, ruleCount: 9, conntrack: null, settings: [] },
    ...{ counters: [], interfaces: [], routes: [], neighbours: [], listeners: [], traces },
  }
  return new ReceiptReader([{ namespaces: [namespace], drops: [], notRead: [] } as unknown as Receipts])
}

/** The flow of the packet that was rejected. */
function rejectedFlow() {
  const [{ src, dst, sport, dport }] = traced(81).forms as [TraceReceipt['forms'][number]]
  const stations = ['container', 'bridge'].map((point) => `${point} ${src}:${sport} ${dst}:${dport} 64`)
  return flow(1, way(1, ...stations), way(0), {
    lost: [loss('forward', 'bridge uplink', 1)],
    state: 'syn-only',
  })
}

describe('a drop that was traced', () => {
  const lost = { direction: 'forward', packets: 1, between: ['bridge', 'uplink'] } as const

  test('names the rule, though the counter of another one fits the loss better', () => {
    const rules = [rule(2, '-p tcp -j REJECT', 40), rule(3, '-p tcp -j DROP', 1)]
    const [first, second] = lossCauses(rejectedFlow(), lost, reader([traced(81)], rules))
    expect(first).toMatchObject({
      id: 'rule',
      isConfirmed: true,
      what: 'rule 2 of DOCKER-USER (-p tcp -j REJECT) rejects it',
      receipt: 'traced to it, +40 packets during the capture',
      check: 'iptables -nvL DOCKER-USER --line-numbers',
    })
    expect(second!.what).toContain('rule 3')
    const [without] = lossCauses(rejectedFlow(), lost, reader([], rules))
    expect(without!.what).toContain('rule 3')
  })

  test('names it as nft spells it where the receipts do not have it', () => {
    const [first] = lossCauses(rejectedFlow(), lost, reader([traced(81)]))
    expect(first!.what).toMatch(
      /^rule \d of DOCKER-USER in ip filter \(tcp dport 81 reject with tcp reset\) rejects it$/,
    )
  })

  test('is not of this flow where it was long ago, or has another port', () => {
    const old = { ...traced(81), timeNs: String(BEGIN_NS - 60_000_000_000n) }
    for (const traces of [[old], [traced(53)], [traced(80)]]) {
      const causes = lossCauses(rejectedFlow(), lost, reader(traces))
      expect(causes.filter(({ receipt }) => receipt?.startsWith('traced'))).toEqual([])
    }
  })

  test('says nothing of a loss in another namespace', () => {
    const causes = lossCauses(
      rejectedFlow(),
      { ...lost, between: ['container', 'bridge'] },
      reader([traced(81)], [], 'elsewhere'),
    )
    expect(causes.length).toBeGreaterThan(0)
    const elsewhere = lossCauses(rejectedFlow(), { ...lost, between: ['x', 'y'] }, reader([traced(81)]))
    expect(elsewhere.some(({ isConfirmed }) => isConfirmed)).toBe(false)
  })
})

describe('the section Chains', () => {
  function chains(traces: TraceReceipt[], columns = 80, namespace = 'host', color = false): string {
    const flows = traces.map(({ forms: [first] }, i) => {
      const { src, dst, sport, dport } = first!
      return flow(i + 1, way(1, `bridge ${src}:${sport} ${dst}:${dport} 64`), way(0))
    })
    for (const one of flows) addRulePaths(one, reader(traces, [], namespace))
    const text = renderText(report(['bridge', 'uplink'], flows), { columns, color })
    return text.split('\nChains')[1]?.split('\n\n')[0]?.replace(/^.*\n/, '').trimEnd() ?? ''
  }

  test('tells each flow’s way', () => {
    expect(chains([traced(80), traced(8080), traced(81)])).toMatchInlineSnapshot(`
      "  #1 SYN  nat PREROUTING → filter FORWARD → DOCKER-USER
            → DOCKER-ISOLATION-STAGE-1 → DOCKER-ISOLATION-STAGE-2 → FORWARD rule 3
            accept → inet fw way rule 1 accept → nat POSTROUTING rule 4 masquerade
        #2 SYN  nat PREROUTING → DOCKER rule 5 dnat to 172.17.0.2:80 → filter FORWARD
            → DOCKER-USER → DOCKER-ISOLATION-STAGE-1 → DOCKER rule 5 accept → inet fw
            way rule 1 accept → nat POSTROUTING
        #3 SYN  nat PREROUTING → filter FORWARD → DOCKER-USER rule 2 reject"
    `)
  })

  test('is not there without traces', () => {
    const [trace] = TRACES
    expect(
      chains([{ ...trace!, forms: [{ src: '10.9.9.9', dst: '10.9.9.8', sport: 1, dport: 2 }], steps: [] }]),
    ).not.toContain('DOCKER')
    const text = renderText(
      report(['bridge'], [flow(1, way(1, 'bridge 10.0.0.1:1 10.0.0.2:2 64'), way(0))]),
      {
        columns: 80,
        color: false,
      },
    )
    expect(text).not.toContain('Chains')
  })

  test('fits into the terminal and does nothing to it, whatever chains are called', () => {
    const hostile = `\x1b[2J\u202e\n${'x'.repeat(500)}`
    const trace = traced(80)
    const steps = trace.steps.map((step) => ({
      ...step,
      ...{ table: hostile, chain: hostile, text: `dnat to ${hostile}`, verdict: `jump ${hostile}` },
    }))
    for (const columns of [60, 80, 120]) {
      const text = chains([{ ...trace, steps }], columns, hostile)
      for (const character of '\x1b\u202e') expect(text).not.toContain(character)
      for (const line of text.split('\n')) expect(displayWidth(line)).toBeLessThanOrEqual(columns)
    }
  })
})
