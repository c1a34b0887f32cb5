import { expect, test } from 'vitest'
import { EntryKeeper, joinEntries, MAX_ENTRIES, parseConntrackLine } from '../../src/receipts/conntrack.ts'
import { recorded } from './recorded.ts'

function entriesIn(name: string, isThere: boolean) {
  const kept = new EntryKeeper([])
  for (const line of recorded(name).split('\n')) kept.take(line, isThere)
  return kept.finish().entries
}

test('the table with what events tell of its entries, and connections that came and went', () => {
  const joined = joinEntries(entriesIn('conntrack.txt', true), entriesIn('conntrack-events.txt', false))
  expect(joined.map(({ original, isThere }) => `${original.dport} ${isThere}`)).toEqual([
    ...['1 true', '94 true', '99 true', '96 true', '97 true'],
    // Refused at once.
    '98 false',
  ])
  expect(joined[0]).toEqual({
    ...{ protocol: 'tcp', state: 'SYN_SENT', isReplied: false, isAssured: false, zone: null, mark: null },
    original: { src: '10.9.0.1', dst: '10.9.0.77', sport: 44690, dport: 1, packets: null },
    reply: { src: '10.9.0.77', dst: '10.9.0.1', sport: 1, dport: 44690, packets: null },
    ...{ sinceNs: '1795326767120124000', isThere: true },
  })
})

test('entries of all kinds', () => {
  const line =
    'ipv4     2 tcp      6 431999 ESTABLISHED src=172.17.0.2 dst=203.0.113.10 sport=4000 dport=80 packets=5 bytes=400 src=203.0.113.10 dst=192.168.78.100 sport=80 dport=4000 packets=3 bytes=200 [ASSURED] mark=7 zone=2 use=1'
  expect(parseConntrackLine(line, true)).toMatchObject({
    ...{ state: 'ESTABLISHED', isReplied: true, isAssured: true, mark: 7, zone: 2 },
    original: { packets: 5 },
    reply: { dst: '192.168.78.100', packets: 3 },
  })
  const icmp =
    'icmp     1 29 src=172.17.0.2 dst=8.8.8.8 type=8 code=0 id=7 src=8.8.8.8 dst=10.0.0.1 type=0 code=0 id=7 mark=0 use=1'
  expect(parseConntrackLine(icmp, true)).toMatchObject({
    ...{ protocol: 'icmp', state: null, original: { sport: 7, dport: 7 } },
  })
  const generic = 'ipv4     2 unknown  99 599 src=1.1.1.1 dst=2.2.2.2 src=2.2.2.2 dst=1.1.1.1 use=1'
  expect(parseConntrackLine(generic, true)).toMatchObject({ protocol: '99', original: { sport: null } })
  for (const odd of [
    '',
    'conntrack v1.4.7: 5 flow entries have been shown.',
    'tcp 6 1 X src=a dst=b src=c dst=d',
  ])
    expect(parseConntrackLine(odd, true)).toBeNull()
})

test('of a table that is too long, the containers’ own entries are kept', () => {
  const kept = new EntryKeeper(['172.17.0.2'])
  const line = (src: string, i: number) =>
    `ipv4     2 udp      17 29 src=${src} dst=9.9.9.9 sport=${i} dport=53 src=9.9.9.9 dst=${src} sport=53 dport=${i} use=1`
  for (let i = 0; i < 50_000; i++) kept.take(line('172.17.0.22', i), true)
  for (let i = 0; i < 10; i++) kept.take(line('172.17.0.2', i), true)
  const { entries, omitted } = kept.finish()
  expect(entries.slice(0, 10).map(({ original }) => original.src)).toEqual(Array(10).fill('172.17.0.2'))
  expect(entries.length).toBeLessThanOrEqual(MAX_ENTRIES)
  expect(entries.length + omitted).toBe(50_010)
})
