/** DNS questions for display, from honest and from hostile messages. */

import { describe, expect, test } from 'vitest'
import { dnsQuestion, dnsQuestionName } from '../../src/decode/dns.ts'
import { decoded } from './decode.ts'
import { ascii, type Bytes, dnsQuery, ethernet, hex, ipv4, tcp, udp } from './frames.ts'

const over = (message: Bytes, srcPort = 40000, dstPort = 53) =>
  decoded(ethernet(0x0800, ipv4({ protocol: 17 }, udp(srcPort, dstPort, message))))
const HEADER = hex('1a2b 0100 0001 0000 0000 0000')
const TYPE_AND_CLASS = hex('001c 0001')
const named = (wire: Bytes) => dnsQuestionName(over([...HEADER, ...wire, ...TYPE_AND_CLASS]))

test('the question, its type and the answer to it', () => {
  expect(dnsQuestion(over(dnsQuery('web.example.org')))).toEqual({
    name: 'web.example.org',
    type: 1,
    isResponse: false,
    responseCode: 0,
  })
  expect(dnsQuestion(over(dnsQuery('nowhere', 0x8183), 53, 40000))).toMatchObject({
    isResponse: true,
    responseCode: 3,
  })
  expect(dnsQuestionName(over(dnsQuery('printer.local', 0), 5353, 5353))).toBe('printer.local')
  expect(named([0])).toBe('.')
})

test('names come out harmless', () => {
  expect(named([5, 0x1b, ...ascii('[2J'), 0x07, 0])).toBe('\\027[2J\\007')
  expect(named([7, ...ascii('a.b\\c d'), 2, 0xc3, 0xa9, 0])).toBe('a\\.b\\\\c\\032d.\\195\\169')
  const label = [63, ...Array<number>(63).fill(0x61)]
  expect(named([...label, ...label, ...label, 61, ...Array<number>(61).fill(0x62), 0])?.length).toBe(253)
  expect(named([...label, ...label, ...label, 62, ...Array<number>(62).fill(0x62), 0])).toBeNull()
})

describe('no question', () => {
  const message = dnsQuery('web.example.org')
  test.each<[string, Bytes]>([
    ['a pointer to itself', [...HEADER, 0xc0, 0x0c, ...TYPE_AND_CLASS]],
    ['a pointer behind a label', [...HEADER, 1, 0x61, 0xc0, 0x0c, ...TYPE_AND_CLASS]],
    ['a reserved label type', [...HEADER, 0x41, 0x61, 0, ...TYPE_AND_CLASS]],
    ['a label behind the end', [...HEADER, 40, 0x61, 0x62]],
    ['a name without end', [...HEADER, 1, 0x61]],
    ['no type and class', message.slice(0, -4)],
    ['no questions', [...hex('1a2b 8400 0000 0001 0000 0000'), ...message.slice(12)]],
    ['a header cut short', message.slice(0, 11)],
  ])('%s', (_name, bytes) => {
    expect(dnsQuestion(over(bytes))).toBeNull()
  })

  test('where it is not DNS over UDP', () => {
    expect(
      dnsQuestion(decoded(ethernet(0x0800, ipv4({ protocol: 6 }, tcp({ dstPort: 53 }, message))))),
    ).toBeNull()
    expect(dnsQuestion(decoded(ethernet(0x0800, ipv4({ protocol: 17, fragment: 1 }, message))))).toBeNull()
  })
})

test('on other ports the header must be plausible (127.0.0.11 answers on a random one)', () => {
  expect(dnsQuestionName(over(dnsQuery('web', 0x8180), 41234, 33333))).toBe('web')
  const patched = (at: number, value: number) => dnsQuery('web').map((byte, i) => (i === at ? value : byte))
  expect(dnsQuestionName(over(patched(2, 0x29), 41234, 33333))).toBeNull()
  expect(dnsQuestionName(over(patched(5, 2), 41234, 33333))).toBeNull()
  expect(dnsQuestionName(over(patched(6, 9), 41234, 33333))).toBeNull()
  expect(dnsQuestionName(over(patched(20, 9), 41234, 33333))).toBeNull()
  expect(dnsQuestionName(over(ascii('just some text in a datagram'), 41234, 33333))).toBeNull()
})
