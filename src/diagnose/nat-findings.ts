/** NAT findings: what was translated in a notable way, and what should have been translated and was not. */

import type { Endpoint, JoinedFlow, Station } from '../correlate/joined-flow.ts'
import type { Cause } from './cause.ts'
import { expectsAnswer, isLoopback, isPrivate, show } from './endpoints.ts'
import { type Finding, finding } from './finding.ts'
import { formsOf } from './forms.ts'
import { lossesOnTheWay } from './losses.ts'
import { inNamespace, type ReceiptReader, ruleLabel } from './receipt-reader.ts'
import { mayMatch, namesPort } from './rule-match.ts'

const SNAT_TARGETS = /^(MASQUERADE|SNAT|NETMAP|masquerade|snat)$/
const DNAT_TARGETS = /^(DNAT|REDIRECT|NETMAP|dnat|redirect)$/

/** A private source went out through a router as it was, and nothing came back: nobody outside can answer it. */
export function snatMissing(flow: JoinedFlow, reader: ReceiptReader | null): Finding[] {
  const { path } = flow.forward
  const first = path[0]
  const last = path.at(-1)
  if (!first || !last || flow.reverse.packets > 0 || flow.icmpErrors.length > 0 || flow.lost.length > 0)
    return []
  if (!expectsAnswer(flow) || (flow.protocol === 'tcp' && flow.state !== 'syn-only')) return []
  if (last.ttl >= first.ttl || !isPrivate(last.src.ip) || isPrivate(last.dst.ip)) return []
  if (flow.translations.some((t) => t.kind === 'snat')) return []
  return [
    finding(
      'snat-missing',
      flow.id,
      `${last.src.ip} left ${last.point} for ${last.dst.ip} untranslated and got no reply: no SNAT or MASQUERADE rule took it`,
      { point: last.point, source: last.src.ip },
      snatCauses(flow, last, reader),
    ),
  ]
}

function snatCauses(flow: JoinedFlow, last: Station, reader: ReceiptReader | null): Cause[] {
  const check = `${last.src.ip.includes(':') ? 'ip6tables' : 'iptables'} -t nat -nvL POSTROUTING`
  const namespace = reader?.namespaceOf(last.point)
  if (!reader || !namespace || !reader.wasRead(namespace, /tables-save|nft|rules/))
    return [
      {
        id: 'no-snat-rule',
        what: `no rule translates ${last.src.ip}, or another one takes it before`,
        isConfirmed: false,
        confirm: 'POSTROUTING has no MASQUERADE for this network and interface',
        check,
      },
    ]
  const gone = namespace.rules.find(
    ({ target, change }) => change === 'vanished' && SNAT_TARGETS.test(target ?? ''),
  )
  if (gone)
    return [
      {
        id: 'no-snat-rule',
        what: `${ruleLabel({ rule: gone, namespace })} is gone`,
        isConfirmed: true,
        receipt: 'it vanished during the capture',
        check: inNamespace(namespace, check),
      },
    ]
  const fitting = reader.rules([namespace], SNAT_TARGETS, formsOf(flow, 'forward'))
  if (fitting.length === 0)
    return [
      {
        id: 'no-snat-rule',
        what: `no MASQUERADE or SNAT rule of ${namespace.name} fits it`,
        isConfirmed: true,
        receipt: others(
          namespace.rules.filter(({ target }) => SNAT_TARGETS.test(target ?? '')).map(({ text }) => text),
        ),
        check: inNamespace(namespace, check),
      },
    ]
  return [
    {
      id: 'no-snat-rule',
      what: `${ruleLabel(fitting[0]!)} did not take it`,
      isConfirmed: fitting.every(({ packets }) => packets === 0),
      ...(fitting.every(({ packets }) => packets === 0)
        ? { receipt: 'it counted nothing during the capture' }
        : { confirm: 'its counter does not rise' }),
      check: inNamespace(namespace, check),
    },
  ]
}

/** `the only one: -s 172.18.0.0/16 …`, or how many there are. */
function others(texts: readonly string[]): string {
  if (texts.length === 0) return 'there is none at all'
  return `there ${texts.length === 1 ? 'is' : 'are'} only: ${texts.slice(0, 3).join(' · ')}${texts.length > 3 ? ` and ${texts.length - 3} more` : ''}`
}

/**
 * Somebody asked one of the host's own addresses, was refused or got no answer there, and rules of this host publish a
 * port: another one, or on another address. Only receipts tell; without them it is a refusal like any other.
 */
export function dnatMissing(flow: JoinedFlow, reader: ReceiptReader | null): Finding[] {
  const last = flow.forward.path.at(-1)
  if (!reader || !last || flow.translations.some(({ kind }) => kind === 'dnat')) return []
  if (flow.state !== 'refused' && flow.state !== 'syn-only') return []
  const namespace = reader.namespaceOf(last.point)
  if (!namespace || !reader.isOwn(namespace, last.dst.ip)) return []
  const { protocol } = flow
  if (
    lossesOnTheWay(flow, reader).length > 0 ||
    reader.listeners(namespace, protocol, last.dst.port).some(({ ip }) => !isLoopback(ip))
  )
    return []
  const published = namespace.rules.filter(
    ({ target, text, change }) =>
      change !== 'vanished' && DNAT_TARGETS.test(target ?? '') && new RegExp(`\\b${protocol}\\b`).test(text),
  )
  const gone = namespace.rules.find(
    ({ target, text, change }) =>
      change === 'vanished' && DNAT_TARGETS.test(target ?? '') && namesPort(text, last.dst.port),
  )
  const elsewhere = published.find(({ text }) => namesPort(text, last.dst.port))
  // A rule that fits translates nothing that dies before it: the reason is another one.
  const isPublished = published.some(
    ({ text }) => mayMatch(text, formsOf(flow, 'forward')) && namesPort(text, last.dst.port),
  )
  if (isPublished || (published.length === 0 && !gone)) return []
  const check = inNamespace(
    namespace,
    `${last.dst.ip.includes(':') ? 'ip6tables' : 'iptables'} -t nat -nvL DOCKER`,
  )
  const what = gone
    ? `${ruleLabel({ rule: gone, namespace })} is gone`
    : elsewhere
      ? `the port is published on another address only: ${elsewhere.text}`
      : `no rule publishes ${protocol} port ${last.dst.port}`
  return [
    finding(
      'dnat-missing',
      flow.id,
      `${show(last.dst, flow)} at ${last.point} was not translated to a container${flow.state === 'refused' ? ', and refused' : ' and nothing came back'}`,
      { point: last.point, port: last.dst.port },
      [
        {
          id: gone ? 'rule-gone' : elsewhere ? 'published-elsewhere' : 'not-published',
          what,
          isConfirmed: true,
          receipt: gone
            ? 'it vanished during the capture'
            : `published: ${published
                .slice(0, 3)
                .map(({ text }) => text)
                .join(' · ')}`,
          check,
        },
      ],
    ),
  ]
}

/**
 * The answer comes out at the client's end with other addresses than the client wrote to: it took a way around the
 * translation, and nobody there waits for it.
 */
export function replyNotTranslated(flow: JoinedFlow): Finding[] {
  const asked = flow.forward.path[0]
  const answered = flow.reverse.path.at(-1)
  if (!asked || !answered || asked.point !== answered.point || flow.translations.length === 0) return []
  // Docker's DNS: the request is translated in front of the first point, and the reply behind the last.
  if (isLoopback(asked.dst.ip) || isLoopback(answered.src.ip)) return []
  const isEcho = flow.protocol.startsWith('icmp')
  const differs = (a: Endpoint, b: Endpoint) => a.ip !== b.ip || (!isEcho && a.port !== b.port)
  // Netfilter inside of a bridge translates requests in front of it and replies too: there the request is the odd one.
  const later = flow.forward.path.slice(1)
  const isUndone =
    later.some(({ dst }) => differs(asked.dst, dst) && !differs(dst, answered.src)) ||
    later.some(({ src }) => differs(asked.src, src) && !differs(src, answered.dst))
  if (!isUndone) return []
  return [
    finding(
      'reply-not-translated',
      flow.id,
      `the reply comes to ${answered.point} from ${show(answered.src, flow)} and not from ${show(asked.dst, flow)}, as it was asked: it was not translated back`,
      { point: answered.point, from: answered.src, expected: asked.dst },
      [
        {
          id: 'another-way-back',
          what: 'the reply goes by another way than the request, around the host that translates',
          isConfirmed: false,
          confirm: 'the route of the server to the client does not lead through that host',
          check: `ip route get ${answered.dst.ip}`,
        },
      ],
    ),
  ]
}

export function portRemapped(flow: JoinedFlow): Finding[] {
  return flow.translations.flatMap(({ kind, from, to, between }) =>
    kind === 'snat' && from.port !== to.port
      ? [
          finding(
            'port-remapped',
            flow.id,
            `${flow.protocol.startsWith('icmp') ? 'echo id' : 'source port'} ${from.port} became ${to.port}: ${show(from, flow)} → ${show(to, flow)}`,
            {
              between,
              from,
              to,
            },
          ),
        ]
      : [],
  )
}

export function hairpin({ id, passedTwice }: JoinedFlow): Finding[] {
  if (passedTwice.length === 0) return []
  return [finding('hairpin', id, `the packets pass ${passedTwice.join(', ')} twice`, { points: passedTwice })]
}

export function familyTranslated({ id, translations }: JoinedFlow): Finding[] {
  const family = ({ ip }: Endpoint) => (ip.includes(':') ? 'IPv6' : 'IPv4')
  const changes = translations.filter(({ kind, from, to }) => kind === 'snat' && family(from) !== family(to))
  if (changes.length === 0) return []
  const told = changes.map(
    ({ from, to, between: [a, b] }) =>
      `${family(from)} becomes ${family(to)} ${a === b ? `at ${a}` : `between ${a} and ${b}`}`,
  )
  return [
    finding('family-translated', id, `${told.join(', ')}: translated between the families (NAT64, 464XLAT)`, {
      between: changes.map(({ between }) => between),
    }),
  ]
}
