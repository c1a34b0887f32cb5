/** Receipts with something in each field. */

import { RECEIPTS_SCHEMA, type Receipts } from '../../src/receipts/model.ts'

const tuple = (src: string, sport: number, dst: string, dport: number) => ({
  ...{ src, dst, sport, dport, packets: null },
})

export function sampleReceipts(entries = 1): Receipts {
  return {
    schema: RECEIPTS_SCHEMA,
    beginNs: '1795325737591663000',
    endNs: '1795325737917843000',
    hostname: 'höst',
    kernel: '6.18.44',
    namespaces: [
      {
        name: 'host',
        inode: 4026531833,
        points: ['veth', 'bridge', 'uplink'],
        rules: [
          {
            ...{ backend: 'iptables', family: 'ip', table: 'filter', chain: 'DOCKER-USER', number: 1 },
            ...{
              handle: null,
              text: '-p tcp -m comment --comment "für A → B" -j DROP',
              target: 'DROP',
              to: null,
            },
            ...{ change: 'counted', packets: { before: 1, after: 4 }, bytes: { before: 60, after: 240 } },
          },
        ],
        ruleCount: 26,
        conntrack: {
          ...{ count: { before: 0, after: 1 }, max: 262144, omitted: 3 },
          stats: [{ group: 'nf_conntrack', name: 'drop', before: 0, after: 2 }],
          entries: Array.from({ length: entries }, (_, i) => ({
            ...{ protocol: 'tcp', state: 'SYN_SENT', isReplied: false, isAssured: true, zone: 1, mark: i },
            original: tuple('172.17.0.2', 4000, '203.0.113.10', 80),
            reply: tuple('203.0.113.10', 80, '192.168.78.100', 4000),
            ...{ sinceNs: '1795325737691663000', isThere: true },
          })),
        },
        settings: [{ name: 'net.ipv4.ip_forward', value: 0, before: 1 }],
        counters: [{ group: 'TcpExt', name: 'IPReversePathFilter', before: null, after: 5 }],
        interfaces: [
          {
            ...{ name: 'eth0', index: 2, kind: 'veth', isUp: true, mtu: 1000, mtuBefore: 1500 },
            ...{ mac: '02:42:ac:11:00:02', master: 'docker0', addresses: ['192.168.78.100/24'] },
            ...{ rpFilter: 1, forwarding4: true, forwarding6: null, routeLocalnet: false },
            counters: [{ group: 'link', name: 'tx_dropped', before: 0, after: 7 }],
            queues: [{ group: 'qdisc', name: 'fq_codel', before: 0, after: 1 }],
          },
        ],
        routes: [
          {
            ...{
              destination: 'default',
              family: 'ip',
              table: 'main',
              type: 'unicast',
              gateway: '192.168.78.1',
            },
            ...{ interfaceName: 'eth0', metric: 100, source: null, mtu: null },
          },
        ],
        neighbours: [{ ip: '192.168.78.1', interfaceName: 'eth0', mac: null, state: 'FAILED' }],
        listeners: [{ protocol: 'tcp', ip: '127.0.0.1', port: 80 }],
        processes: { isFrozen: true },
      },
    ],
    drops: [
      {
        ...{ reason: 'NETFILTER_DROP', location: 'nft_do_chain', etherType: 2048, packets: 3 },
        timesNs: ['1795325737894599843'],
      },
    ],
    notRead: [{ namespace: null, what: 'tracefs', why: 'not permitted' }],
  }
}
