/** `hoptrace report`, `analyze --html`: usage, files, pipes, what is printed, exit codes. */

import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { shippedBytes, temporaryFolder } from '../capture/reading.ts'
import { pageContent } from '../page/page-content.ts'
import { expectHarmless, expectRefused, hoptrace, quote, shell } from './program.ts'

const INPUT = 'captures/outbound-masquerade'
const CONTAINER = `${INPUT}/container.pcap.gz`
const folder = temporaryFolder()

function page(path: string) {
  return pageContent(readFileSync(path, 'utf8'))
}

describe('bad usage is one line and exit code 2', () => {
  test.each([
    [[INPUT], "required option '-o, --output <file>' not specified"],
    [['-o', '/tmp/never.html'], 'no input'],
    [['/nowhere', '-o', '/tmp/never.html'], 'no such file'],
    [[INPUT, '-o', '/nowhere/x.html'], 'cannot be written (ENOENT)'],
    [[INPUT, '-o', '/tmp'], 'cannot be written (EISDIR)'],
    [[INPUT, '-o', '/dev/full'], 'cannot be written (ENOSPC)'],
    [[INPUT, '-o', '/dev/null', '--payload', '-1'], 'Give a number of bytes from 0 to 65535'],
    [[INPUT, '-o', '/dev/null', '--max-packets', '0'], 'Give a number from 1 to 4,000,000'],
    [[INPUT, '-o', '/dev/null', '--flow', '9'], 'there are only flows 1 to 2'],
    [[INPUT, '-o', '/dev/null', '--path', 'a,b'], '--path names a, b'],
  ])('%j', async (args, message) => {
    expectRefused(await hoptrace('report', ...args), message)
  })

  test('a page that is there stays as it is where making a new one fails', async () => {
    const file = folder.write('there.html', Buffer.from('an older and longer page'.repeat(50_000)))
    const { size } = statSync(file)
    expectRefused(await hoptrace('report', INPUT, '-o', file, '--flow', '9'), 'there are only flows 1 to 2')
    expect(statSync(file).size).toBe(size)
    expect((await hoptrace('report', INPUT, '-o', file)).code).toBe(0)
    expect(readFileSync(file, 'utf8')).toMatch(/^<!doctype html>.*<\/html>\s*$/is)
  })

  test('no capture is overwritten, be it an input or not', async () => {
    const file = folder.write('kept.pcap', shippedBytes('outbound-masquerade/container'))
    const { size } = statSync(file)
    expectRefused(await hoptrace('report', INPUT, '-o', file), 'is a capture, not overwritten')
    expectRefused(await hoptrace('report', file, '-o', file), 'is one of the inputs')
    expectRefused(await hoptrace('analyze', file, '--html', file), 'is a capture, not overwritten')
    expect(statSync(file).size).toBe(size)
  })

  test('a page that lies there is not emptied for inputs that are not there', async () => {
    const file = folder.write('old.html', Buffer.from('old'))
    expectRefused(await hoptrace('analyze', '/nowhere', '--html', file), 'no such file')
    expectRefused(await hoptrace('report', '/nowhere', '-o', file), 'no such file')
    expect(readFileSync(file, 'utf8')).toBe('old')
  })

  test.each([
    [['--html', '-'], '--html wants a file'],
    [['--html', '/dev/stdout'], '--html wants a file'],
    [['--html', '/tmp/never', '--journeys', '/tmp/never'], 'is to be written twice'],
    [['--html', '/tmp/never', '-w', '/tmp/never'], 'is to be written twice'],
    [['--html', '/tmp/never', '--expect', 'snat', '--junit', '/tmp/never'], 'is to be written twice'],
  ])('analyze %j', async (args, message) => {
    expectRefused(await hoptrace('analyze', INPUT, ...args), message)
  })

  test.each([
    [['--html', '-'], '--html wants a file'],
    [['--html', 'x', '-w', 'x'], 'is to be written twice'],
    [['--html', 'x', '-w', 'y', '--no-join'], 'leave out --rotate and --no-join'],
    [['--html', 'x', '-w', 'y', '--rotate', '1MB'], 'leave out --rotate and --no-join'],
  ])('capture %j', async (args, message) => {
    expectRefused(await hoptrace('capture', '--container', 'x', ...args), message)
  })
})

test('one line says what was written', async () => {
  const path = folder.path('report.html')
  const { stdout, stderr, code } = await hoptrace('report', INPUT, '-o', path)
  expect([stderr, code]).toEqual(['', 0])
  expect(stdout).toMatch(/^.*report\.html: [\d.]+ kB, 2 flows, 22 packets\n$/)
  const { packets, report, about } = page(path)
  expect(packets).toHaveLength(22)
  expect(report.flows).toHaveLength(2)
  expect(about.title).toBe(INPUT)

  const fewer = await hoptrace('report', INPUT, '-o', path, '--max-packets', '4', '--title', 'Ticket 42')
  expect(fewer.stdout).toMatch(/, 2 flows, 4 of 22 packets\n$/)
  expect(page(path).about).toMatchObject({ title: 'Ticket 42', packetsLeftOut: 18 })
})

test('-o - is the same page on stdout, and a reader that has seen enough is no error', async () => {
  const path = folder.path('same.html')
  await hoptrace('report', INPUT, '-o', path)
  const { stdout, stderr, code } = await hoptrace('report', INPUT, '-o', '-')
  expect([stderr, code]).toEqual(['', 0])
  expect(stdout).toBe(readFileSync(path, 'utf8'))
  expect(await shell(`hoptrace report ${INPUT} -o - | head -c 10`)).toEqual({
    stdout: '<!doctype ',
    stderr: '',
    code: 0,
  })
})

test('only the flows that are asked for, under the numbers that they have', async () => {
  const path = folder.path('flow.html')
  expect((await hoptrace('report', INPUT, '-o', path, '--flow', '2')).code).toBe(0)
  const { report, packets } = page(path)
  expect(report.flows.map(({ id }) => id)).toEqual([2])
  expect(new Set(packets.map(({ flow }) => flow))).toEqual(new Set([2]))
  expect(packets.map(({ number }) => number)).toEqual(packets.map((_, i) => i + 1))

  for (const options of [
    ['--filter', 'udp'],
    ['--port', '9'],
    ['--host', '9.9.9.9'],
    ['--proto', 'udp'],
  ]) {
    const none = await hoptrace('report', INPUT, '-o', path, ...options)
    expect(none.stderr).toMatch(/^hoptrace: No flow matches [^\n]*, out of 2 flows \(2 tcp\)\n$/)
    expect(none.code).toBe(0)
    expect(page(path).report.flows).toEqual([])
  }
})

test('options of reading: names and order of points, clocks, tunnels', async () => {
  const path = folder.path('options.html')
  const args = ['captures/any-cooked', '-o', path, '--ifname', '2=outside', '--keep-clocks']
  expect((await hoptrace('report', ...args, '--decode-as', '8888=vxlan')).code).toBe(0)
  const { report, about } = page(path)
  expect(report.points.map(({ name }) => name)).toContain('outside')
  expect(about.tunnelPorts).toContainEqual([8888, 'vxlan'])
  const order = 'uplink,bridge,veth,container'
  expect((await hoptrace('report', INPUT, '-o', path, '--path', order)).code).toBe(0)
  expect(page(path).report.path.join()).toBe(order)
})

test('an input that can’t be read: the others are reported, and the exit code is 2', async () => {
  const path = folder.path('others.html')
  const { stdout, stderr, code } = await hoptrace('report', INPUT, '/nowhere', '-o', path)
  expect(stderr).toBe('hoptrace: /nowhere: no such file or directory: check the path\n')
  expect(code).toBe(2)
  expect(stdout).toContain('2 flows')
  expect(page(path).report.warnings).toContain('/nowhere: no such file or directory: check the path')
})

test('pipes make the same page as their file, and leave nothing behind', async () => {
  const TMPDIR = mkdtempSync(join(tmpdir(), 'hoptrace-test-'))
  onTestFinished(() => rmSync(TMPDIR, { recursive: true }))
  const bytes = (text: string) => pageContent(text).packets.map(({ bytes }) => bytes)
  const [file, pipe, fifo] = await Promise.all([
    hoptrace('report', `container=${CONTAINER}`, '-o', '-'),
    shell(`zcat ${CONTAINER} | hoptrace report container=- -o -`, { TMPDIR }),
    shell(`hoptrace report container=<(cat ${CONTAINER}) -o -`, { TMPDIR }),
  ])
  expect(bytes(file.stdout).flat(2)).toHaveLength(22)
  expect(bytes(pipe.stdout)).toEqual(bytes(file.stdout))
  expect(bytes(fifo.stdout)).toEqual(bytes(file.stdout))
  expect(pageContent(pipe.stdout).report.points[0]!.source).toBe('-')
  expect(pipe.stderr + fifo.stderr).toBe('')
  expect(readdirSync(TMPDIR)).toEqual([])
})

test('interfaces of a pcapng keep their names in a pipe', async () => {
  const joined = folder.path('joined.pcapng')
  await hoptrace('analyze', INPUT, '-w', joined)
  const { stdout } = await shell(`cat ${quote(joined)} | hoptrace report - -o -`)
  expect(pageContent(stdout).report.path).toEqual(['container', 'veth', 'bridge', 'uplink'])
})

describe('analyze --html', () => {
  test.each([
    [['--json']],
    [['--flow', '1', '--packets']],
    [['--journeys', '-']],
    [['--expect', 'snat', '--tap', '-']],
  ])('beside %j, which prints what it always does', async (args) => {
    const path = folder.path('analyze.html')
    const plain = await hoptrace('analyze', INPUT, ...args)
    const { stdout, stderr, code } = await hoptrace('analyze', INPUT, ...args, '--html', path)
    expect([stdout, code]).toEqual([plain.stdout, plain.code])
    expect(stderr).toMatch(/^hoptrace: .*analyze\.html: [\d.]+ kB, \d flows?, \d+ packets\n$/)
    const { report, packets } = page(path)
    expect(packets).toHaveLength(
      report.flows.reduce((sum, { forward, reverse }) => sum + forward.packets + reverse.packets, 0),
    )
  })

  test('of a pipe, printing what it prints without', async () => {
    const path = folder.path('pipe.html')
    const plain = await shell(`zcat ${CONTAINER} | hoptrace analyze - --json`)
    const { stdout, code } = await shell(
      `zcat ${CONTAINER} | hoptrace analyze - --json --html ${quote(path)}`,
    )
    expect([stdout, code]).toEqual([plain.stdout, 0])
    expect(page(path).packets.every(({ bytes }) => bytes.flat().length === 1)).toBe(true)
  })

  test('has what came of expectations, and the exit code is theirs', async () => {
    const path = folder.path('expected.html')
    const { code } = await hoptrace(
      'analyze',
      INPUT,
      '--expect',
      'snat',
      '--expect',
      'lost==3',
      '--html',
      path,
    )
    expect(code).toBe(1)
    expect(page(path).report.expectations!.map(({ holds }) => holds)).toEqual([true, false])
  })
})

test.each(['\x1b]0;title\x07.html', 'a\nb.html', '\u202elmth.x'])('a page called %j', async (name) => {
  const path = folder.path(name)
  writeFileSync(path, 'what was there before')
  const { stdout, stderr, code } = await hoptrace('report', INPUT, '-o', path)
  expect([stderr, code]).toEqual(['', 0])
  expectHarmless(stdout)
  expect(stdout.trimEnd().split('\n')).toHaveLength(1)
  expect(page(path).packets).toHaveLength(22)
})
