import { expect, test } from 'vitest'
import { analyze } from '../../src/analysis.ts'
import { selectFlows } from '../../src/report/filter.ts'
import type { Report } from '../../src/report/model.ts'

const NONE = { hosts: [], ports: [], protocols: [], ids: [] }

test('an IPv6 address matches in any of its spellings', async () => {
  const { report } = await analyze(['captures/same-bridge'])
  const text = JSON.stringify(report).replaceAll('172.18.0.3', '2001:db8::1:0:3')
  const six = JSON.parse(text) as Report
  const count = (host: string) => selectFlows(six, { ...NONE, hosts: [host] }).flows.length
  for (const host of ['2001:db8::1:0:3', '2001:DB8:0:0:0:1:0:3', '2001:0db8::0001:0.0.0.3'])
    expect(count(host)).toBe(1)
  expect(count('2001:db8::3')).toBe(0)
  expect(count('172.18.0.2')).toBe(1)
})

test('a report without flows has none to ask for', async () => {
  const { report } = await analyze(['captures/forward-drop/uplink.pcap.gz'])
  expect(() => selectFlows(report, { ...NONE, ids: [1] })).toThrow('--flow 1: there are no flows')
})
