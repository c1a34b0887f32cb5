/** Faults that people meet, each as it is introduced into the lab; `heal` of the lab takes any of them out again. */

import { HoptraceError } from '../errors.ts'
import { serversOf, signal } from './processes.ts'
import { runAt } from './programs.ts'
import { replaceService } from './services.ts'
import type { LabNames, Station } from './stations.ts'
import { apply, set } from './wiring.ts'

export interface Fault {
  readonly name: string
  /** What people notice. Does not say why. */
  readonly symptom: string
  /** What it was, in a sentence. */
  readonly solution: string
  /** The scenario that runs into it. */
  readonly scenario: string
  /** An answer names it if something of each matches. */
  readonly keywords: readonly RegExp[]
  introduce(names: LabNames): Promise<void> | void
}

const NO_PAGE = 'container1 gets no page from the internet'
const NO_SERVICE = 'nobody gets a page from port 8080 of the host'

function rule(station: Station, ...words: string[]): (names: LabNames) => void {
  return (names) => void runAt(names, station, ['iptables', '-w', '10', ...words])
}

export const FAULTS: readonly Fault[] = [
  {
    name: 'not-listening',
    symptom: NO_SERVICE,
    solution: 'Nothing listens on port 80 in container1: its server does not run.',
    scenario: 'published',
    keywords: [
      /no(t|thing|body)? .{0,20}(listen|run|serv|start)|(server|service|process|program|web|app|nginx).{0,30}(not|down|dead|stopped|gone|crash|kill|exit|end)/,
    ],
    introduce: (names) => replaceService(names, 'container1', []),
  },
  {
    name: 'loopback-only',
    symptom: NO_SERVICE,
    solution: 'The server in container1 listens on 127.0.0.1 only; it has to listen on 0.0.0.0.',
    scenario: 'published',
    keywords: [/127 0 0 1|localhost|loopback/, /listen|bind|bound|bind|only|open/],
    introduce: (names) => replaceService(names, 'container1', ['http=127.0.0.1:80']),
  },
  {
    name: 'masquerade-deleted',
    symptom: NO_PAGE,
    solution:
      'The MASQUERADE rule for 172.17.0.0/16 is missing: packets leave the host with the container’s address.',
    scenario: 'outbound',
    keywords: [/masq\w*|snat|source nat|nat rule|translat|\bnat\b/],
    introduce: rule(
      'host',
      ...'-t nat -D POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE'.split(' '),
    ),
  },
  {
    name: 'forwarding-off',
    symptom: NO_PAGE,
    solution: 'net.ipv4.ip_forward is 0 on the host: it does not route.',
    scenario: 'outbound',
    keywords: [
      /ip ?forward|forwarding (is |was )?(off|disabled|0|not|turned)|(not|no|does not|disabled) (ip )?(forward|rout)/,
    ],
    introduce: (names) => set(names, 'host', { 'ipv4/ip_forward': 0 }),
  },
  {
    name: 'user-rule-drops',
    symptom: NO_PAGE,
    solution: 'A rule in DOCKER-USER drops what goes to TCP port 80.',
    scenario: 'outbound',
    keywords: [
      /docker user|firewall|iptables|rule/,
      /drop|block|reject|den(y|ies)|forbid|filter/,
      /^(?!.*(repl|answer|back|response|sport|icmp)).*$/,
    ],
    introduce: rule('host', ...'-I DOCKER-USER -p tcp --dport 80 -j DROP'.split(' ')),
  },
  {
    name: 'replies-dropped',
    symptom: NO_PAGE,
    solution: 'A rule in DOCKER-USER drops the answers, which come from TCP port 80.',
    scenario: 'outbound',
    keywords: [
      /repl(y|ies)|answer|response|return|way back|sport|source port|syn ?ack|from port 80/,
      /drop|block|reject|lost|filter|den(y|ies)/,
    ],
    introduce: rule('host', ...'-I DOCKER-USER -p tcp --sport 80 -j DROP'.split(' ')),
  },
  {
    name: 'wrong-gateway',
    symptom: NO_PAGE,
    solution: 'The default route of container1 leads to 172.17.0.99, where nobody answers ARP.',
    scenario: 'outbound',
    keywords: [/gateway|default route|next hop|172 17 0 99|wrong route|arp/],
    introduce: (names) => apply(names, { container1: ['route replace default via 172.17.0.99'] }),
  },
  {
    name: 'ttl-1',
    symptom: NO_PAGE,
    solution: 'container1 sends with TTL 1 (net.ipv4.ip_default_ttl): its packets end at the first router.',
    scenario: 'outbound',
    keywords: [/ttl|time to live|hop limit/],
    introduce: (names) => set(names, 'container1', { 'ipv4/ip_default_ttl': 1 }),
  },
  {
    name: 'mtu-blackhole',
    symptom: 'small requests of container1 work, large uploads hang',
    solution: 'The uplink’s MTU is 1000, and a rule drops the ICMP errors that would tell container1.',
    scenario: 'upload',
    keywords: [/mtu|fragmentation|too (big|large|small)|packet size|icmp|path mtu|black ?hole/],
    introduce(names) {
      apply(names, { host: ['link set eth0 mtu 1000'] })
      rule('host', ...'-I OUTPUT -p icmp --icmp-type fragmentation-needed -j DROP'.split(' '))(names)
    },
  },
  {
    name: 'rp-filter',
    symptom: 'the internet gets no page from port 8080 of the router',
    solution:
      'Reverse path filtering (rp_filter = 1) drops what comes from the internet’s server, as the way back to it leads elsewhere.',
    scenario: 'forwarded',
    keywords: [
      /rp ?filter|reverse path|anti ?spoof|asymmetric|martian|way back .{0,20}(elsewhere|another|other)/,
    ],
    introduce(names) {
      set(names, 'host', { 'ipv4/conf/eth0/rp_filter': 1 })
      apply(names, { host: ['route add 203.0.113.10/32 dev docker0'] })
    },
  },
  {
    name: 'server-stopped',
    symptom: NO_SERVICE,
    solution:
      'The server in container1 is stopped (SIGSTOP): the kernel takes connections, and nobody answers.',
    scenario: 'published',
    keywords: [/sigstop|paus|frozen|freez|suspend|stopped|stuck|hang|hung/],
    introduce(names) {
      for (const pid of serversOf(names, 'container1')) signal(pid, 'SIGSTOP')
    },
  },
  {
    name: 'wrong-target',
    symptom: NO_SERVICE,
    solution: 'The published port leads to 172.17.0.2:8000, where nothing listens: it should be port 80.',
    scenario: 'published',
    keywords: [
      /8000|wrong (target |container |internal |inner )?port|port (mapping|is wrong)|dnat|publish\w* .{0,30}wrong|mismatch/,
    ],
    introduce(names) {
      const rules = runAt(names, 'host', 'iptables -w 10 -t nat -S DOCKER'.split(' '))
        .split('\n')
        .filter((line) => line.startsWith('-A DOCKER '))
      const nth = rules.findIndex((line) => line.includes('--dport 8080 '))
      if (nth < 0)
        throw new HoptraceError(
          `the lab has no rule for port 8080 any more: sudo hoptrace lab fix${names.option} brings it back`,
        )
      const words = rules[nth]!.replace('-A DOCKER', `-R DOCKER ${nth + 1}`).replace(/:80$/, ':8000')
      rule('host', '-t', 'nat', ...words.split(' '))(names)
      rule(
        'host',
        ...'-I DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp --dport 8000 -j ACCEPT'.split(' '),
      )(names)
    },
  },
]

/** Throws a `HoptraceError` that lists them, where `text` is none of them. */
export function faultNamed(text: string): Fault {
  const fault = FAULTS.find(({ name }) => name === text)
  if (fault === undefined)
    throw new HoptraceError(
      `there is no fault of that name: choose one of ${FAULTS.map(({ name }) => name).join(', ')}, or give --random`,
    )
  return fault
}
