/** Answers of a room full of people: however they put it, right is right, and a list of everything is not. */

import { expect, test } from 'vitest'
import { judgeAnswer } from '../../src/lab/answers.ts'
import { FAULTS, faultNamed } from '../../src/lab/faults.ts'

const SAID: Record<string, readonly string[]> = {
  'not-listening': [
    'Nothing listens on port 80',
    "the web server isn't running",
    'no process is listening in the container',
  ],
  'loopback-only': ['it listens on 127.0.0.1 only', 'Server bound to localhost!', 'bind address is loopback'],
  'masquerade-deleted': ['MASQUERADE rule is missing', 'no SNAT', 'the source address is not translated'],
  'forwarding-off': [
    'ip_forward=0',
    'forwarding is disabled on the host',
    'net.ipv4.ip_forward',
    'the host does not forward',
  ],
  'user-rule-drops': ['a DROP rule in DOCKER-USER', 'the firewall blocks port 80', 'iptables drops it'],
  'replies-dropped': [
    'the replies are dropped',
    'a rule with --sport 80 drops the answers',
    'SYN-ACK is dropped in DOCKER-USER',
  ],
  'wrong-gateway': [
    'wrong default gateway',
    'default route leads to 172.17.0.99',
    'next hop does not answer',
  ],
  'ttl-1': ['TTL is 1', 'the time to live is too small'],
  'mtu-blackhole': [
    'MTU too small and ICMP blocked',
    'path MTU discovery is broken',
    'fragmentation needed is filtered',
  ],
  'rp-filter': ['rp_filter', 'reverse-path filtering is strict', 'asymmetric routing'],
  'server-stopped': ['the server was SIGSTOPped', 'it is paused', 'the process hangs', 'process is stopped'],
  'wrong-target': ['the port mapping is wrong', 'DNAT goes to 8000', 'wrong container port'],
}

test.each(FAULTS)('$name: its name, its solution and what people say are right', (fault) => {
  for (const answer of [fault.name, fault.solution, ...SAID[fault.name]!])
    expect(judgeAnswer(answer, fault), answer).toBe('right')
})

test.each(FAULTS)('$name: what is said of others is mostly wrong, and nothing empty is right', (fault) => {
  const others = Object.entries(SAID).flatMap(([name, said]) => (name === fault.name ? [] : said))
  const right = others.filter((answer) => judgeAnswer(answer, fault) === 'right')
  // Some say less than they mean: a server that "is stopped" may not run, or may be stopped by a signal.
  expect(right.length, right.join('; ')).toBeLessThan(4)
  for (const answer of ['', '?', 'no idea', 'the network is broken', 'x'.repeat(100_000)])
    expect(judgeAnswer(answer, fault), answer.slice(0, 20)).toBe('wrong')
})

test('who names everything is guessing', () => {
  const answer = 'masquerade missing, or ip_forward off, or wrong gateway, or TTL, or MTU, or rp_filter'
  expect(judgeAnswer(answer, faultNamed('ttl-1'))).toBe('guessing')
})
