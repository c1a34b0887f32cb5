/** TAP and JUnit as programs read them that nobody here wrote, and the section of the report; whatever the texts hold. */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { renderJunit } from '../../../src/report/expectations/junit.ts'
import { renderTap } from '../../../src/report/expectations/tap.ts'
import { renderExpectationCounts, renderExpectationSection } from '../../../src/report/expectations/text.ts'
import { harmless } from '../../../src/report/harmless.ts'
import { renderJson } from '../../../src/report/json.ts'
import type { ExpectationReport } from '../../../src/report/model.ts'
import { renderText } from '../../../src/report/text.ts'
import { displayWidth } from '../../../src/report/width.ts'
import { temporaryFolder } from '../../capture/reading.ts'
import { expectHarmless } from '../../commands/program.ts'
import { requireTool, run } from '../../tools.ts'
import { outboundMasquerade } from '../scenarios.ts'

const folder = temporaryFolder()

const SOME: ExpectationReport[] = [
  { expression: 'snat', holds: true, evidence: '2 of 2 flows: SNAT', flows: [1, 2] },
  { expression: 'p99(bridge,uplink)<1us', holds: false, evidence: 'flow 1: p99 65.3 µs', flows: [1] },
]
const WILD: ExpectationReport[] = [
  ...[
    '# SKIP none',
    'a # TODO b',
    '\\# SKIP',
    'x\nnot ok 7 - y',
    'Bail out!',
    '1..0',
    '  ---',
    '...',
    '',
    ' ',
    '\\',
  ],
  ...[
    '<a href="x">&amp;</a>',
    ']]>',
    "'",
    '\u0000\u0008\u001b[2J\u009b2J',
    '\ud800',
    '\ufffe\uffff',
    '\u202eevil',
  ],
  ...[
    '"quoted" \\" \\u0041',
    '日本語 😀 é',
    '-->',
    '<![CDATA[',
    '&#27;',
    '%0a',
    '- -',
    ': {',
    '\u0085\u2028',
  ],
].flatMap((text, i) => [
  { expression: text, holds: i % 2 === 0, evidence: text },
  { expression: `flow(at="${text}"): lost==0`, holds: false, evidence: `flow 1: ${text}`, flows: [i + 1] },
])

/** Lists each test point as TAP::Parser of Perl understands it, then what it has against the document. */
const READ_TAP = `
use TAP::Parser; use JSON::PP;
my $parser = TAP::Parser->new({ source => $ARGV[0] });
my (@tests, @blocks);
while (my $result = $parser->next) {
  push @tests, { ok => $result->is_actual_ok ? 1 : 0, says => $result->description, directive => $result->directive, number => $result->number + 0 }
    if $result->is_test;
  push @blocks, $result->data if $result->is_yaml;
}
print JSON::PP->new->encode({ tests => \\@tests, blocks => \\@blocks, errors => [$parser->parse_errors], version => $parser->version + 0 });
`

interface ReadTap {
  tests: { ok: number; says: string; directive: string; number: number }[]
  blocks: { evidence: string }[]
  errors: string[]
  version: number
}

function readTap(text: string): ReadTap {
  const file = folder.write('run.tap', Buffer.from(text))
  return JSON.parse(run('perl', '-e', READ_TAP, file)) as ReadTap
}

describe.skipIf(!requireTool('perl', 'prove'))('TAP, read by Perl', () => {
  test('a test point each, with the evidence', () => {
    const { tests, blocks, errors, version } = readTap(renderTap(SOME))
    expect([errors, version]).toEqual([[], 13])
    expect(tests).toEqual([
      { ok: 1, says: '- snat', directive: '', number: 1 },
      { ok: 0, says: '- p99(bridge,uplink)<1us', directive: '', number: 2 },
    ])
    expect(blocks[0]).toEqual({ evidence: '2 of 2 flows: SNAT', flows: '[1, 2]' })
    expect(blocks).toHaveLength(2)
  })

  test('prove counts them, and none where all hold', () => {
    const file = folder.write('two.tap', Buffer.from(renderTap(SOME)))
    expect(() => run('prove', '--exec', 'cat', file)).toThrow('Command failed')
    folder.write('two.tap', Buffer.from(renderTap(SOME.slice(0, 1))))
    expect(run('prove', '--exec', 'cat', file)).toContain('Result: PASS')
  })

  test('no text turns a test point into something else', () => {
    const text = renderTap(WILD)
    expectHarmless(text)
    const { tests, blocks, errors } = readTap(text)
    expect(errors).toEqual([])
    expect(tests.map(({ ok }) => ok === 1)).toEqual(WILD.map(({ holds }) => holds))
    expect(tests.map(({ directive }) => directive)).toEqual(WILD.map(() => ''))
    expect(blocks).toHaveLength(WILD.length)
  })

  test('any text', () => {
    fc.assert(
      fc.property(anyExpectations, (expectations) => {
        const text = renderTap(expectations)
        expectHarmless(text)
        const { tests, errors } = readTap(text)
        expect(errors).toEqual([])
        expect(tests.map(({ ok }) => ok === 1)).toEqual(expectations.map(({ holds }) => holds))
      }),
      { numRuns: 15 },
    )
  })
})

const anyText = fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme' }), fc.string())
const anyExpectations = fc.array(fc.record({ expression: anyText, holds: fc.boolean(), evidence: anyText }), {
  minLength: 1,
  maxLength: 40,
})

/** What Python's expat makes of a document; it refuses what is not well-formed. */
const READ_XML = `
import json, sys, xml.etree.ElementTree as tree
def told(node): return { 'tag': node.tag, 'is': node.attrib, 'text': (node.text or '').strip(), 'has': [told(child) for child in node] }
json.dump(told(tree.parse(sys.argv[1]).getroot()), sys.stdout)
`

interface Element {
  tag: string
  is: Record<string, string>
  text: string
  has: Element[]
}

function readXml(text: string): Element {
  return JSON.parse(run('python3', '-c', READ_XML, folder.write('run.xml', Buffer.from(text)))) as Element
}

describe.skipIf(!requireTool('python3'))('JUnit, read by expat', () => {
  test('a test case each; what does not hold is a failure with its evidence', () => {
    const suites = readXml(renderJunit(SOME, 'hoptrace analyze a.pcap'))
    expect(suites).toMatchObject({ tag: 'testsuites', is: { tests: '2', failures: '1', errors: '0' } })
    const [suite] = suites.has
    expect(suite).toMatchObject({
      tag: 'testsuite',
      is: { name: 'hoptrace analyze a.pcap', tests: '2', failures: '1', errors: '0', skipped: '0' },
    })
    const classname = 'hoptrace analyze a.pcap'
    expect(suite.has.map(({ tag, is }) => [tag, is])).toEqual([
      ['testcase', { classname, name: 'snat' }],
      ['testcase', { classname, name: 'p99(bridge,uplink)<1us' }],
    ])
    const [held, failed] = suite.has.map(({ has }) => has)
    expect(held).toEqual([{ tag: 'system-out', is: {}, text: '2 of 2 flows: SNAT', has: [] }])
    const message = 'flow 1: p99 65.3 µs'
    expect(failed).toEqual([
      { tag: 'failure', is: { type: 'does-not-hold', message }, text: message, has: [] },
    ])
  })

  test('any text comes through as what is shown of it', () => {
    const check = (expectations: readonly ExpectationReport[]) => {
      const text = renderJunit(expectations, expectations[0]!.evidence)
      expectHarmless(text)
      const [suite] = readXml(text).has
      expect(suite.is.name).toBe(harmless(expectations[0]!.evidence))
      expect(suite.has.map(({ is }) => is.name)).toEqual(expectations.map((it) => harmless(it.expression)))
      expect(suite.has.map(({ has }) => has[0]!.is.message)).toEqual(
        expectations.map(({ holds, evidence }) => (holds ? undefined : harmless(evidence))),
      )
    }
    check(WILD)
    fc.assert(fc.property(anyExpectations, check), { numRuns: 15 })
  })
})

describe('in the report', () => {
  const report = { ...outboundMasquerade, expectations: [...SOME, ...WILD] }

  test('last, in words as well as signs', () => {
    const text = renderText({ ...outboundMasquerade, expectations: SOME }, { columns: 80, color: false })
    expect(
      text.endsWith(
        '\n\nExpectations  1 of 2 hold\n' +
          '  ✓ holds: snat\n    2 of 2 flows: SNAT\n' +
          '  ✗ does not hold: p99(bridge,uplink)<1us\n    flow 1: p99 65.3 µs\n',
      ),
    ).toBe(true)
    expect(renderText(outboundMasquerade, { columns: 80, color: false })).not.toContain('Expectations')
    expect(renderExpectationCounts(SOME.slice(0, 1))).toBe('1 holds')
    expect(renderExpectationCounts(SOME.slice(1))).toBe('1 does not hold')
    expect(renderExpectationCounts([SOME[0]!, SOME[0]!])).toBe('all 2 hold')
  })

  test.each([60, 80, 200])('harmless and within %i columns, whatever the texts hold', (columns) => {
    for (const text of [
      renderText(report, { columns, color: false }),
      renderExpectationSection(report, { columns, color: false }),
    ]) {
      expectHarmless(text)
      for (const line of text.split('\n')) expect(displayWidth(line), line).toBeLessThanOrEqual(columns)
    }
  })

  test('in the document, as they are', () => {
    const text = renderJson(report)
    expectHarmless(text)
    // A lone surrogate is what JSON has an escape for, and UTF-8 no bytes.
    expect((JSON.parse(text) as typeof report).expectations).toEqual(report.expectations)
  })
})
