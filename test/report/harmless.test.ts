import { describe, expect, test } from 'vitest'
import { renderFlowDetail } from '../../src/report/flow-detail.ts'
import { harmless } from '../../src/report/harmless.ts'
import { renderJourneyLine } from '../../src/report/journey-lines.ts'
import { renderJson } from '../../src/report/json.ts'
import { renderPacketLine } from '../../src/report/packet-line.ts'
import { renderText } from '../../src/report/text.ts'
import { displayWidth } from '../../src/report/width.ts'
import { journey } from './journeys.ts'
import { scenarios } from './scenarios.ts'

/** Written apart from the code under test: what must never reach a terminal. */
const DANGEROUS = new RegExp(
  '[\\x00-\\x09\\x0b-\\x1f\\x7f-\\x9f\\u00ad\\u061c\\u180e\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb]' +
    '|[\\ud800-\\udbff](?![\\udc00-\\udfff])|(?<![\\ud800-\\udbff])[\\udc00-\\udfff]',
)

const ATTACKS = [
  '\u001b[31mred\u001b[0m',
  '\u001b]0;title\u0007',
  'two\nlines\r\ttab',
  '\u009b2Jclear',
  'a\u202egpj.exe\u2066x\u2069\u061c\u200e\u200f',
  'zero\u200b\u200c\u200d\u2060\ufeffwidth',
  'line\u2028para\u2029graph',
  'lone \ud800 and \udc00 surrogates',
  '\u0000nul\u007fdel\u0085nel',
  '漢字'.repeat(30),
  'x'.repeat(5000),
]

/** A copy in which every string, also a key of evidence, is followed by the attack (or is the attack alone). */
function inject<T>(value: T, attack: string, alone: boolean): T {
  if (typeof value === 'string') return (alone ? attack : value + attack) as T
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map((item) => inject(item, attack, alone)) as T
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [
      key === 'bridge' ? key + attack : key,
      // What the program itself chooses stays; all else may come from a file.
      key === 'direction' || key === 'severity' ? item : inject(item, attack, alone),
    ]),
  ) as T
}

describe.each(ATTACKS)('hostile text %#', (attack) => {
  test.each([true, false])('never reaches the output (alone: %s)', (alone) => {
    for (const scenario of Object.values(scenarios)) {
      const hostile = inject({ ...scenario, flows: scenario.flows.slice(0, 3) }, attack, alone)
      for (const columns of [60, 120, 300]) {
        const options = { columns, color: false }
        const text = [renderText(hostile, options)]
        for (const flow of hostile.flows) text.push(renderFlowDetail(hostile, flow, options))
        expect(text.join('')).not.toMatch(DANGEROUS)
        for (const line of text.join('').split('\n'))
          expect(displayWidth(line), line).toBeLessThanOrEqual(columns)
      }
      const json = renderJson(hostile)
      expect(json).not.toMatch(DANGEROUS)
      expect(JSON.parse(json)).toEqual(hostile)
      const packet = inject(journey({ outcome: 'lost', lostBetween: ['bridge', 'uplink'] }), attack, alone)
      expect(renderJourneyLine(packet)).not.toMatch(/\n/)
      expect(renderJourneyLine(packet)).not.toMatch(DANGEROUS)
      const line = renderPacketLine(packet, {
        columns: 200,
        color: false,
        flowFirstNs: packet.sightings[0].timeNs,
      })
      expect(line).not.toMatch(/\n/)
      expect(line).not.toMatch(DANGEROUS)
    }
  })

  test('with colour, the only escapes are ours', () => {
    for (const scenario of Object.values(scenarios)) {
      const hostile = inject({ ...scenario, flows: scenario.flows.slice(0, 3) }, attack, false)
      const text = renderText(hostile, { columns: 80, color: true })
      // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
      expect(text.replaceAll(/\u001b\[(?:1|2|22|3[1346]|39)m/g, '')).not.toMatch(DANGEROUS)
    }
  })
})

test('what is escaped stays readable, what is harmless stays as it is', () => {
  expect(harmless('\u001b[2J')).toBe('\\x1b[2J')
  expect(harmless('a\u202eb')).toBe('a\\u202eb')
  expect(harmless('\ud83d')).toBe('\\ud83d')
  expect(harmless('\u{e0041}')).toBe('\\u{e0041}')
  expect(harmless('br-größe 漢字 Ж 😀')).toBe('br-größe 漢字 Ж 😀')
  expect(harmless('abcdef', 3)).toBe('abc…')
})
