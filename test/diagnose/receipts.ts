/** Receipts as a capture would have read them, made by hand: only what a test is about differs from a quiet host. */

import type {
  CounterReceipt,
  InterfaceReceipt,
  NamespaceReceipts,
  Receipts,
  RuleReceipt,
} from '../../src/receipts/model.ts'
import { START_NS } from './diagnosing.ts'

export function receipts(
  namespaces: readonly NamespaceReceipts[],
  more: Partial<Pick<Receipts, 'drops' | 'notRead'>> = {},
): Receipts {
  return {
    schema: 'hoptrace.receipts/1',
    beginNs: String(START_NS - 1_000_000_000n),
    endNs: String(START_NS + 60_000_000_000n),
    hostname: 'box',
    kernel: '6.18.0',
    namespaces,
    drops: [],
    notRead: [],
    ...more,
  }
}

export function namespace(
  name: string,
  points: readonly string[],
  more: Partial<NamespaceReceipts> = {},
): NamespaceReceipts {
  return {
    ...{ name, points, inode: 4_026_531_840, rules: [], ruleCount: 0, conntrack: null },
    ...{ settings: [{ name: 'net.ipv4.ip_forward', value: 1 }], counters: [], interfaces: [], routes: [] },
    ...{ neighbours: [], listeners: [] },
    ...more,
  }
}

/** The Docker host: it forwards, and has docker0 and eth0. */
export function host(more: Partial<NamespaceReceipts> = {}): NamespaceReceipts {
  return namespace('host', ['veth', 'bridge', 'uplink'], {
    interfaces: [
      link('docker0', { kind: 'bridge', addresses: ['172.17.0.1/16'] }),
      link('eth0', { addresses: ['192.168.7.2/24'] }),
    ],
    ...more,
  })
}

export function container(more: Partial<NamespaceReceipts> = {}): NamespaceReceipts {
  return namespace('web', ['container'], {
    interfaces: [link('eth0', { addresses: ['172.17.0.2/16'] })],
    ...more,
  })
}

export function link(name: string, more: Partial<InterfaceReceipt> = {}): InterfaceReceipt {
  return {
    ...{ name, index: 2, kind: 'veth', isUp: true, mtu: 1500, mac: null, master: null, addresses: [] },
    ...{ rpFilter: 0, forwarding4: true, forwarding6: true, routeLocalnet: false, counters: [], queues: [] },
    ...more,
  }
}

/** The first rule of a chain of iptables, by its text; the target is what stands behind `-j`. */
export function rule(chain: string, text: string, counted = 0, more: Partial<RuleReceipt> = {}): RuleReceipt {
  const [, target = null] = /-j (\S+)/.exec(text) ?? []
  const [, to = null] = /--to-(?:destination|source) (\S+)/.exec(text) ?? []
  return {
    ...{
      backend: 'iptables',
      family: 'ip',
      table: 'filter',
      chain,
      number: 1,
      handle: null,
      text,
      target,
      to,
    },
    change: counted > 0 ? 'counted' : 'same',
    packets: { before: 10, after: 10 + counted },
    bytes: { before: 600, after: 600 + 60 * counted },
    ...more,
  }
}

/** A counter that moved by so much. */
export function counter(group: string, name: string, by: number): CounterReceipt {
  return { group, name, before: 5, after: 5 + by }
}
