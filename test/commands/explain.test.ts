/** `hoptrace explain` as a user runs it: usage, pipes, the quiz, JSON. */

import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { shippedBytes, temporaryFolder } from '../capture/reading.ts'
import { expectHarmless, expectRefused, hoptrace, quote, shell } from './program.ts'

const INPUT = 'captures/outbound-masquerade'
const folder = temporaryFolder()

describe('bad usage is one line and exit code 2', () => {
  test.each([
    [[INPUT, '--flow', '9'], 'no flow 9: there are flows 1 to 2'],
    [[INPUT, '--packet', '99'], 'no packet 99 in flow 1: it has packets 1 to 12'],
    [[INPUT, '--flow', '0'], 'Give a number from 1 on'],
    [[INPUT, '--filter', 'port 9'], 'no flow to explain matches'],
    [[INPUT, '--flow', '1', '--filter', 'tcp'], '--flow and --filter both choose'],
    [[INPUT, '--json', '--mermaid'], 'both want stdout'],
    [['-', '--quiz'], '--quiz reads answers from standard input'],
    [['/nowhere'], 'no such file'],
    [[], 'no input'],
  ])('%j', async (args, message) => {
    expectRefused(await hoptrace('explain', ...args), message)
  })
})

test('without --flow: the first flow with a request and an answer, at the most points', async () => {
  const { stdout, code } = await hoptrace('explain', 'captures/forward-drop', '--json')
  expect(code).toBe(0)
  expect(JSON.parse(stdout).flow.id).toBe(1)
  const gso = await hoptrace('explain', 'captures/bulk-gso', '--json')
  expect(JSON.parse(gso.stdout).flow.id).toBe(2)
})

test('--filter chooses the flow', async () => {
  const { stdout } = await hoptrace('explain', 'captures/udp-and-ping', '--filter', 'port 9999', '--json')
  expect(JSON.parse(stdout).flow.id).toBe(3)
})

test('--json is one document of its schema, and its text is harmless', async () => {
  const { stdout, stderr, code } = await hoptrace('explain', 'captures/embedded-dns', '--json')
  expect([stderr, code]).toEqual(['', 0])
  const { schema, packets } = JSON.parse(stdout)
  expect(schema).toBe('hoptrace.explain/1')
  expect(packets).toHaveLength(2)
  expectHarmless(stdout)
})

test('a pipe is explained as its file, and leaves nothing behind', async () => {
  const TMPDIR = mkdtempSync(join(tmpdir(), 'hoptrace-test-'))
  onTestFinished(() => rmSync(TMPDIR, { recursive: true }))
  const file = `container=captures/outbound-masquerade/container.pcap.gz`
  const [fromFile, fromPipe, fromFifo] = await Promise.all([
    hoptrace('explain', file),
    shell('zcat captures/outbound-masquerade/container.pcap.gz | hoptrace explain container=-', { TMPDIR }),
    shell('hoptrace explain container=<(cat captures/outbound-masquerade/container.pcap.gz)', { TMPDIR }),
  ])
  expect(fromFile.stdout).toContain('1 container')
  expect(fromPipe).toEqual(fromFile)
  expect(fromFifo).toEqual(fromFile)
  expect(readdirSync(TMPDIR)).toEqual([])
})

test('a reader that has seen enough', async () => {
  const { code, stderr } = await shell(`hoptrace explain ${INPUT} | head -1`)
  expect([code, stderr]).toEqual([0, ''])
})

describe('--quiz in a pipe', () => {
  test('reads answers line by line, and keeps the score', async () => {
    const answers = ['no', 'yes', '63', '192.168.78.100', '1.2.3.4', 'no', '0x7bc9']
    const { stdout, code, stderr } = await shell(
      `printf '%s\\n' ${answers.join(' ')} | hoptrace explain ${INPUT} --quiz`,
    )
    expect([code, stderr]).toEqual([0, ''])
    const verdicts = [...stdout.matchAll(/^ {4}([✓✗=]) /gm)].map(([, sign]) => sign).join('')
    expect(verdicts).toBe(`✓✗✓✓✗✓✓${'='.repeat(7)}`)
    expect(stdout.trimEnd().split('\n').at(-1)).toBe('Score: 5 of 7 right')
  })

  test('a header comes only behind the questions about it', async () => {
    const { stdout } = await shell(`hoptrace explain ${INPUT} --quiz < /dev/null`)
    expect(stdout.indexOf('TTL at uplink?')).toBeGreaterThan(0)
    expect(stdout.indexOf('TTL at uplink?')).toBeLessThan(stdout.indexOf('\n4 uplink'))
    expect(stdout).toContain('Score: no answers were given')
  })

  test('answers that attack the terminal come back harmless', async () => {
    const { stdout, code } = await shell(
      `printf '\\033[2J\\n%s\\n' "$(head -c 100000 /dev/zero | tr '\\0' x)" | hoptrace explain ${INPUT} --quiz`,
    )
    expect(code).toBe(0)
    expectHarmless(stdout)
    expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThan(200)
  })
})

test.each(['\x1b[31mred', 'a\nb', 'x|y', '\u202egpj'])('a point called %j', async (name) => {
  const file = folder.write(`${name}.pcap`, shippedBytes('outbound-masquerade/container'))
  for (const option of ['', '--json', '--markdown', '--mermaid', '--quiz']) {
    const { stdout, stderr, code } = await shell(`hoptrace explain ${quote(file)} ${option} < /dev/null`)
    expect([stderr, code]).toEqual(['', 0])
    expectHarmless(stdout)
  }
})
