/** The receipts in a few lines: what translated, dropped or failed; in a bounded number of harmless, narrow lines. */

import { expect, test } from 'vitest'
import { paletteFor } from '../../src/report/palette.ts'
import { renderReceipts } from '../../src/report/receipts-text.ts'
import { displayWidth } from '../../src/report/width.ts'
import { counter, host, namespace, receipts, rule } from '../diagnose/receipts.ts'

const PLAIN = paletteFor(false)

test('nothing where there are none, and nothing of what is as always', () => {
  expect(renderReceipts([], true, 80, PLAIN)).toEqual([])
  const quiet = host({ rules: [rule('DOCKER-USER', '-j RETURN', 9), rule('FORWARD', '-j DROP', 0)] })
  expect(renderReceipts([receipts([quiet])], true, 80, PLAIN)).toEqual([])
})

test('rules that moved, counters of trouble, drops, and what was not read', () => {
  const rules = [
    rule('DOCKER-USER', '-p tcp -m tcp --dport 80 -j DROP', 3),
    rule('POSTROUTING', '-o eth0 -j MASQUERADE', 2, { table: 'nat' }),
    rule('FORWARD', 'policy DROP', 1, { number: null, target: 'DROP' }),
    rule('DOCKER', '-j DNAT --to-destination 172.17.0.2:80', 0, {
      ...{ table: 'nat', change: 'vanished', packets: { before: 3, after: null } },
    }),
    rule('FORWARD', '-j ACCEPT', 50),
  ]
  const counters = [counter('Ip', 'InReceives', 900), counter('Ip', 'OutNoRoutes', 4)]
  const drop = {
    reason: 'NETFILTER_DROP',
    location: 'nf_hook_slow',
    etherType: 2048,
    packets: 3,
    timesNs: [],
  }
  const notRead = [{ namespace: 'host', what: 'conntrack -L', why: 'conntrack is not installed' }]
  const all = receipts([host({ rules, counters })], { drops: [drop], notRead })
  expect(renderReceipts([all], true, 120, PLAIN)).toEqual([
    '  host: +3  rule 1 of DOCKER-USER in filter  -p tcp -m tcp --dport 80 -j DROP',
    '  host: +2  rule 1 of POSTROUTING in nat  -o eth0 -j MASQUERADE',
    '  host: +1  policy of FORWARD in filter  policy DROP',
    '  host: vanished  rule 1 of DOCKER in nat  -j DNAT --to-destination 172.17.0.2:80',
    '  host: OutNoRoutes +4',
    '  dropped by the kernel: NETFILTER_DROP 3 in nf_hook_slow',
    '  not read: conntrack -L (conntrack is not installed)',
  ])
})

test('a few of many rules', () => {
  const rules = Array.from({ length: 30 }, (_, i) => rule('DOCKER-USER', '-j DROP', 1, { number: i + 1 }))
  const lines = renderReceipts([receipts([host({ rules })])], true, 80, PLAIN)
  expect(lines).toHaveLength(9)
  expect(lines.at(-1)).toBe('  host: … 22 more rules')
})

test('long and hostile text stays within the lines, and acts on no terminal', () => {
  const evil = '\u001b[2J\u009b31m\u202e\n'.repeat(9)
  const rules = [rule('FORWARD', `-m comment --comment "${'x'.repeat(300)}${evil}" -j DROP`, 1)]
  const all = receipts([namespace(`web${evil}`, [], { rules })], {
    notRead: [{ namespace: null, what: evil, why: evil }],
  })
  for (const palette of [PLAIN, paletteFor(true)]) {
    const lines = renderReceipts([all], true, 60, palette)
    expect(lines.length).toBeGreaterThan(3)
    for (const line of lines) {
      // biome-ignore lint/suspicious/noControlCharactersInRegex: it is what a palette writes.
      const text = line.replace(/\u001b\[\d+m/g, '')
      expect(text).not.toMatch(/[\p{Cc}\u202e]/u)
      expect(displayWidth(text)).toBeLessThanOrEqual(60)
    }
  }
})
