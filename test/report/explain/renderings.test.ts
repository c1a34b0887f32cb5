/** Renderings of the explanation: goldens of some, widths, and foreign text that is nobody's markup. */

import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { describe, expect, test } from 'vitest'
import { explainCaptures } from '../../../src/explanation.ts'
import { renderExplanationMarkdown } from '../../../src/report/explain/markdown.ts'
import { renderExplanationMermaid } from '../../../src/report/explain/mermaid.ts'
import type { Explanation } from '../../../src/report/explain/model.ts'
import { placeOf } from '../../../src/report/explain/places.ts'
import { countQuestions, questionsAbout } from '../../../src/report/explain/quiz.ts'
import { renderExplanation } from '../../../src/report/explain/text.ts'
import { displayWidth } from '../../../src/report/width.ts'
import { expectHarmless, SCENARIOS } from '../../commands/program.ts'

const CAPTURES = join(import.meta.dirname, '../../../captures')
const of = async (scenario: string, options: Parameters<typeof explainCaptures>[1] = {}) =>
  (await explainCaptures([join(CAPTURES, scenario)], options)).explanation

describe('goldens', () => {
  test.each([
    ['outbound-masquerade', {}],
    ['inbound-published-port', {}],
    ['forward-drop', {}],
    ['udp-and-ping', { flow: 3 }],
    ['embedded-dns', { flow: 1 }],
    ['any-cooked', {}],
  ])('%s', async (scenario, options) => {
    const text = renderExplanation(await of(scenario, options), { columns: 80, color: false })
    await expect(text).toMatchFileSnapshot(join(import.meta.dirname, 'goldens', `${scenario}.txt`))
  })

  test('double-nat, for slides', async () => {
    const explanation = await of('double-nat')
    const golden = (name: string) => join(import.meta.dirname, 'goldens', name)
    await expect(renderExplanationMarkdown(explanation)).toMatchFileSnapshot(golden('double-nat.md'))
    await expect(renderExplanationMermaid(explanation)).toMatchFileSnapshot(golden('double-nat.mmd'))
  })
})

describe.each([80, 60])('%d columns', (columns) => {
  test.each(SCENARIOS)('%s', async (scenario) => {
    const explanation = await of(scenario)
    const plain = renderExplanation(explanation, { columns, color: false, all: true })
    for (const line of plain.split('\n')) expect(displayWidth(line), line).toBeLessThanOrEqual(columns)
    expectHarmless(plain)
    const colored = renderExplanation(explanation, { columns, color: true, all: true })
    expect(stripVTControlCharacters(colored)).toBe(plain)
    expect(colored).not.toBe(plain)
  })
})

test('a change has a sign without colour, and says what was there before', async () => {
  const text = renderExplanation(await of('outbound-masquerade'), { columns: 80, color: false })
  expect(text).toMatch(/^ {2}≠ {11}TTL +63 +was 64$/m)
  expect(text).toMatch(/^ {2}≠ IPv4 +source +192\.168\.78\.100 +was 172\.17\.0\.3$/m)
  expect(text).not.toMatch(/^ {2}≠.*destination port/m)
})

/** What is markup somewhere: in terminals, Markdown, HTML or Mermaid. */
const ATTACKS = [
  '\x1b[31mred\x1b[0m',
  'a\nb | c',
  '| x | y |',
  '**bold** _it_ `code`',
  '[link](http://203.0.113.1)',
  '<img src=x onerror=alert(1)>',
  '![i](http://x/y.png)',
  'a;b#c:d%%e',
  'a->>b: hi',
  'end',
  '%%{init: {}}%%',
  '@{ "type": "database" }',
  '\u202eabc',
  'x'.repeat(5000),
  'http://203.0.113.1/ www.example.com',
]

/** Everything foreign in an explanation is the attack. */
async function attacked(attack: string): Promise<Explanation> {
  const explanation = structuredClone(await of('forward-drop'))
  explanation.flow.names = { [attack]: attack }
  for (const packet of explanation.packets) {
    packet.summary = attack
    packet.purpose = attack
    for (const step of packet.ending) step.text = attack
    for (const station of packet.stations) {
      station.point = attack
      station.where.namespace = attack
      station.moreFrames = [attack]
      for (const step of station.steps) step.text = attack
      for (const { fields } of station.layers)
        for (const field of fields)
          Object.assign(field, { value: attack, before: attack, note: attack, isChanged: true })
    }
  }
  explanation.mappings = [{ between: [attack, attack], entry: attack, text: attack, knownFrom: 'frames' }]
  return explanation
}

describe('foreign text is text', () => {
  test.each(ATTACKS)('%j', async (attack) => {
    const explanation = await attacked(attack)
    const text = renderExplanation(explanation, { columns: 80, color: false })
    const markdown = renderExplanationMarkdown(explanation)
    const mermaid = renderExplanationMermaid(explanation)
    for (const output of [text, markdown, mermaid]) expectHarmless(output)
    for (const line of text.split('\n')) expect(displayWidth(line)).toBeLessThanOrEqual(80)
    const inTables = markdown.split('\n').filter((line) => line.startsWith('|'))
    for (const line of inTables) expect(line.match(/(?<!\\)\|/g)).toHaveLength(6)
    // An indented block takes all as it is.
    const marked = markdown.split('\n').filter((line) => !line.startsWith('    '))
    for (const line of marked)
      expect(line.replace(/^- \*\*\w+\*\*|\*\*.*?\*\* \||^\*\*.*\*\*$/g, '')).not.toMatch(/(?<!\\)[*_`<[\]]/)
    for (const line of mermaid.trimEnd().split('\n')) expect(line).toMatch(MERMAID)
  })
})

/** Lines as Mermaid's grammar has them (checked with Mermaid 11); in texts only characters that it has no use for. */
const TEXT = String.raw`(?:[\p{L}\p{N} .,→≠()_/-]|#\d+;|<br/>)*`
const MERMAID = new RegExp(
  `^(?:sequenceDiagram|  participant p\\d+ as ${TEXT}|  Note over p\\d+(?:,p\\d+)?: ${TEXT}|  p\\d+(?:->>|-x)p\\d+: ${TEXT})$`,
  'u',
)

test.each(SCENARIOS)('Mermaid of %s has only points that it names', async (scenario) => {
  const lines = renderExplanationMermaid(await of(scenario))
    .trimEnd()
    .split('\n')
  for (const line of lines) expect(line).toMatch(MERMAID)
  const named = lines.flatMap((line) => /^ {2}participant (p\d+) /.exec(line)?.[1] ?? [])
  const used = lines.flatMap((line) =>
    (/^ {2}(?:Note over )?(p\d+)(?:(?:,|->>|-x)(p\d+))?:/.exec(line) ?? []).slice(1),
  )
  expect(named.length).toBeGreaterThan(0)
  for (const point of used.filter(Boolean)) expect(named).toContain(point)
})

test('the quiz asks for what the next header says', async () => {
  const explanation = await of('outbound-masquerade')
  const [request] = explanation.packets
  const [, veth, bridge, uplink] = request!.stations
  const asked = questionsAbout(uplink!, bridge!)
  expect(asked.map(({ ask, answer }) => [ask, answer])).toEqual([
    ['IPv4: TTL at uplink?', '63'],
    ['IPv4: source at uplink?', '192.168.78.100'],
    ['IPv4: destination at uplink?', '203.0.113.238'],
    ['Ethernet: do the MAC addresses stay the same? (yes/no)', 'no'],
    ['IPv4: does the header checksum stay the same? (yes/no)', 'no, it is 0x7bc9'],
  ])
  expect([' 63 ', '63.', '64', ''].map((answer) => asked[0]!.accepts(answer))).toEqual([
    true,
    true,
    false,
    false,
  ])
  expect(['no', 'N', '0x7bc9', 'yes'].map((answer) => asked[4]!.accepts(answer))).toEqual([
    true,
    true,
    true,
    false,
  ])
  expect(questionsAbout(bridge!, veth!).map(({ answer }) => answer)).toEqual(['no'])
  expect(countQuestions(explanation)).toBe(14)
})

describe('where a point is', () => {
  const look = { isFirst: false, isLast: false, isLoopback: false, linkType: 1 }
  test.each([
    ['container', 'eth0 of container web', 'container', 'container web', 'capture'],
    ['veth', 'veth1, other end of eth0 of container web', 'veth', 'the host', 'capture'],
    ['bridge', 'docker0, bridge', 'bridge', 'the host', 'capture'],
    ['b', 'br-1, bridge of overlay network net', 'bridge', 'overlay network net', 'capture'],
    ['uplink', 'eth0, uplink of laptop', 'uplink', 'the host laptop', 'capture'],
    ['lo', 'lo of the host', 'loopback', 'the host', 'capture'],
    ['vethab12', null, 'veth', 'the host', 'name'],
    ['docker0', null, 'bridge', 'the host', 'name'],
    ['wan', null, 'router', 'a router', 'name'],
    ['server', null, 'container', 'the server', 'name'],
    ['x', null, 'unknown', 'one on the way', 'look'],
  ])('%s (%s)', (name, description, kind, namespace, knownFrom) => {
    expect(placeOf(name, description, look, [])).toEqual({ kind, where: { namespace, knownFrom } })
  })
})
