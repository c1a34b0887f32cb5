/** The flows table's model: columns that fit, order, and what its filter finds. */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { FlowReport } from '../../../src/report/model.ts'
import {
  addressWidths,
  COLUMN_KEYS,
  COLUMNS,
  columnsThatFit,
  type FlowContext,
  findingsByFlow,
  gridTemplate,
  usedColumns,
} from '../../../src/report/web/flows/flow-columns.ts'
import { BY_ID, nextOrder, sortFlows } from '../../../src/report/web/flows/flow-order.ts'
import { flowSearch, searchTexts } from '../../../src/report/web/flows/flow-search.ts'
import { analysisOf } from './flows-of.ts'

const NOTHING: FlowContext = { names: {}, findings: new Map(), beginNs: 0n }
const many = await analysisOf('many-flows')
const [template] = many.flows
const flowWith = (change: Partial<FlowReport>): FlowReport => ({ ...template, ...change })

describe('columns', () => {
  const flow = flowWith({ lost: [], rttNs: null, translations: [] })

  test('that say nothing of any flow are left out', () => {
    expect(usedColumns([flow], NOTHING)).not.toContain('nat')
    expect(usedColumns([flow], NOTHING)).not.toContain('rtt')
    expect(usedColumns(many.flows, NOTHING)).toEqual(expect.arrayContaining(['nat', 'rtt']))
  })

  test('fit: the wider the table the more, in their order, and never wider than it', () => {
    const widths = addressWidths(many.flows)
    let last = 0
    for (let rem = 10; rem < 140; rem += 0.5) {
      const keys = columnsThatFit(rem, COLUMN_KEYS, widths)
      if (keys === null) continue
      expect(keys).toEqual(COLUMN_KEYS.filter((key) => keys.includes(key)))
      expect(keys.length).toBeGreaterThanOrEqual(last)
      last = keys.length
      const least = [...gridTemplate(keys, widths).matchAll(/([\d.]+)rem/g)].map(([, width]) => Number(width))
      expect(least).toHaveLength(keys.length)
      expect(least.reduce((sum, width) => sum + width, 0)).toBeLessThanOrEqual(rem + 0.1)
    }
    expect(last).toBe(COLUMN_KEYS.length)
    expect(columnsThatFit(20, COLUMN_KEYS, widths)).toBeNull()
  })

  test('count findings by flow, those of the whole run not', () => {
    const finding = { code: 'no-reply', summary: '', evidence: {} }
    const counted = findingsByFlow([
      { ...finding, severity: 'error', flow: 3 },
      { ...finding, severity: 'error', flow: 3 },
      { ...finding, severity: 'info', flow: null },
    ])
    expect([...counted]).toEqual([[3, { error: 2, warning: 0, info: 0 }]])
  })
})

describe('order', () => {
  test('by addresses as numbers, version 4 first', () => {
    const ips = ['2001:db8::2', '9.0.0.1', '10.0.0.1', '2001:db8::1', '192.0.2.1']
    const flows = ips.map((ip, id) => flowWith({ id, client: { ip, port: 1 } }))
    const sorted = sortFlows(flows, { column: 'client', isDescending: false }, NOTHING)
    expect(sorted.map(({ client }) => client.ip)).toEqual([
      '9.0.0.1',
      '10.0.0.1',
      '192.0.2.1',
      '2001:db8::1',
      '2001:db8::2',
    ])
  })

  test('keeps all flows, is sorted, has what is unknown last, and equal ones by id', () => {
    fc.assert(
      fc.property(
        fc.array(fc.option(fc.integer({ min: 0, max: 4 })), { maxLength: 40 }),
        fc.boolean(),
        (times, isDescending) => {
          const flows = times.map((rttNs, id) => flowWith({ id, rttNs }))
          const sorted = sortFlows(flows, { column: 'rtt', isDescending }, NOTHING)
          const known = times.filter((rttNs) => rttNs !== null)
          known.sort((a, b) => (isDescending ? b - a : a - b))
          expect(sorted.map(({ rttNs }) => rttNs)).toEqual([
            ...known,
            ...times.filter((rttNs) => rttNs === null),
          ])
          for (const [i, { id, rttNs }] of sorted.entries())
            if (i > 0 && sorted[i - 1].rttNs === rttNs) expect(sorted[i - 1].id).toBeLessThan(id)
        },
      ),
    )
  })

  test('the first press takes the way of the column, the second the other', () => {
    const byBytes = nextOrder(BY_ID, 'bytes')
    expect(byBytes).toEqual({ column: 'bytes', isDescending: true })
    expect(nextOrder(byBytes, 'bytes')).toEqual({ column: 'bytes', isDescending: false })
    expect(nextOrder(byBytes, 'state')).toEqual({ column: 'state', isDescending: false })
  })

  test('each column has values that can be compared', () => {
    for (const key of COLUMN_KEYS) {
      const types = new Set(many.flows.map((flow) => typeof COLUMNS[key].sortValue(flow, NOTHING)))
      expect(types.size, key).toBe(1)
    }
  })
})

describe('the filter', () => {
  const texts = searchTexts({ '203.0.113.238': 'Shop <b>', '172.17.0.3': 'web' }, [
    { code: 'no-reply', severity: 'error', flow: 2, summary: '', evidence: {} },
  ])
  const idsOf = (text: string) => many.flows.filter(flowSearch(text, texts).matches!).map(({ id }) => id)

  test('takes words in any order, wherever they stand', () => {
    expect(flowSearch('shop 49230', texts).kind).toBe('words')
    expect(idsOf('SHOP 172.17.0.3:49230')).toEqual([1])
    expect(idsOf('49230 shop')).toEqual([1])
    expect(idsOf('<b>')).toHaveLength(150)
    expect(idsOf('no-reply')).toEqual([2])
    expect(idsOf('nowhere')).toEqual([])
  })

  test('finds an address that only the far points show', () => {
    expect(many.flows[0].client.ip).toBe('172.17.0.3')
    expect(idsOf('192.168.78.100:49230')).toEqual([1])
  })

  test('takes expressions, and says what is wrong with one', () => {
    expect(flowSearch('port 49230 or port 49238', texts).kind).toBe('expression')
    expect(idsOf('port 49230 or port 49238')).toEqual([1, 2])
    const { matches, hint } = flowSearch('port 49230 or', texts)
    expect(matches).toBeNull()
    expect(hint).toBe("The filter ends with 'or' at character 12, where a condition should follow.")
  })

  test('says what may be meant', () => {
    expect(flowSearch('80', texts).hint).toContain('port 80')
    expect(flowSearch('10.0.0.0/8', texts).hint).toContain('net 10.0.0.0/8')
    expect(flowSearch('web', texts).hint).toBeNull()
  })

  test('never throws, and answers one line', () => {
    const piece = fc.constantFrom(
      'port',
      'host',
      'and',
      'or',
      'not',
      '(',
      ')',
      '"',
      '1',
      '::',
      '\n',
      '\u202e',
      'x',
    )
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(piece).map((pieces) => pieces.join(' ')),
        ),
        (text) => {
          const { hint, matches } = flowSearch(text, texts)
          expect(hint ?? '').not.toMatch(/[\n\u202e]/)
          matches?.(many.flows[0])
        },
      ),
      { numRuns: 3000 },
    )
    expect(flowSearch('('.repeat(20_000), texts).matches).toBeNull()
  })
})
