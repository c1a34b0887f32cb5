import { chmodSync, mkdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { fields } from '../capture/bytes.ts'
import { shippedBytes, temporaryFolder } from '../capture/reading.ts'
import { expectRefused, hoptrace, quote, type Ran, shell, withRecordField } from './program.ts'

const folder = temporaryFolder()
const CONTAINER = shippedBytes('outbound-masquerade/container')
const GOOD = 'captures/outbound-masquerade/uplink.pcap.gz'
const text = (words: string) => new TextEncoder().encode(words)

function emptyFolder(name: string): string {
  mkdirSync(folder.path(name), { recursive: true })
  return folder.path(name)
}

describe('what cannot be read ends in one line that says what, where and what to do', () => {
  test.concurrent.each<[string, () => string[], string | RegExp]>([
    ['no input', () => ['analyze'], 'no input: give capture files'],
    [
      'an unknown option',
      () => ['analyze', '--nope', GOOD],
      /unknown option '--nope' \(hoptrace analyze --help/,
    ],
    ['an option that is nearly right', () => ['analyze', '--jsn', GOOD], 'Did you mean --json?'],
    ['an unknown option in front', () => ['--nope'], /unknown option '--nope' \(hoptrace --help/],
    ['an unknown command', () => ['analyse', GOOD], 'Did you mean analyze?'],
    ['an option without its value', () => ['analyze', GOOD, '--path'], /--path <points>.* argument missing/],
    ['no such file', () => ['analyze', 'none.pcap'], 'none.pcap: no such file or directory'],
    ['an empty file', () => ['analyze', folder.write('empty.pcap', text(''))], 'empty, not a capture file'],
    ['an empty name', () => ['analyze', ''], 'names no file'],
    ['a point without its file', () => ['analyze', 'veth='], '"veth=" names no file'],
    ['an endless name', () => ['analyze', `a=${'x'.repeat(5000)}`], 'ENAMETOOLONG'],
    ['a directory without captures', () => ['analyze', emptyFolder('bare')], 'a directory without captures'],
    ['a directory of folders', () => ['analyze', 'captures'], /give a folder in it \(any-cooked, .*, …\)/],
    ['a path through a file', () => ['analyze', `${GOOD}/x`], 'ENOTDIR'],
    ['a named directory', () => ['analyze', `x=${emptyFolder('bare')}`], 'is a directory'],
    [
      'a text',
      () => ['analyze', folder.write('notes.pcap', text('hello world'))],
      /it begins with "hello wor…".*give a file that tcpdump/,
    ],
    [
      'a gzip cut in front of its first record',
      () => ['analyze', folder.write('stub.pcap.gz', readFileSync(GOOD).subarray(0, 12))],
      'stub.pcap.gz: the gzip data is cut short',
    ],
    [
      'a header cut short',
      () => ['analyze', folder.write('head.pcap', CONTAINER.subarray(0, 20))],
      '20 of 24',
    ],
  ])('%s', async (_, args, message) => {
    expectRefused(await hoptrace(...args()), message)
  })

  test('no argument at all shows the help, as an error', async () => {
    const { stdout, stderr, code } = await hoptrace()
    expect(stderr).toContain('Usage: hoptrace')
    expect(stderr).toContain('Example')
    expect([stdout, code]).toEqual(['', 2])
  })

  test('a file and a folder without permission', async () => {
    const file = folder.write('secret.pcap', CONTAINER)
    chmodSync(file, 0)
    const locked = emptyFolder('locked')
    chmodSync(locked, 0)
    // Root may read all, unless it gives up that power.
    const humbly = process.getuid?.() === 0 ? 'setpriv --bounding-set=-all ' : ''
    for (const path of [file, locked]) {
      const command = `${humbly}${quote(process.execPath)} bin/hoptrace.js analyze ${quote(path)}`
      expectRefused(await shell(command), 'permission denied')
    }
  })
})

/** What a damaged file among good ones must leave: a report, exit code 0, a warning that says this. */
async function expectWarning(file: string, ...says: string[]): Promise<Ran> {
  const run = await hoptrace('analyze', file)
  const flat = run.stdout.replace(/\s+/g, ' ')
  for (const words of says) expect(flat).toContain(words)
  expect(run.stdout).toMatch(/\n {2}▲ /)
  expect([run.stderr, run.code]).toEqual(['', 0])
  return run
}

describe('what is damaged or odd is read as far as it is whole, with a warning', () => {
  test('a gzip cut in half', async () => {
    const zipped = readFileSync(GOOD)
    const file = folder.write('half.pcap.gz', zipped.subarray(0, zipped.length / 2))
    const { stdout } = await expectWarning(file, 'the gzip data is cut short', 'of the decompressed data')
    expect(stdout).toMatch(/Flows {2}\d tcp/)
  })

  test('a file cut in its last record', async () => {
    const file = folder.write('cut.pcap', CONTAINER.subarray(0, -7))
    await expectWarning(
      file,
      'cut in the middle of record 24, which begins at byte',
      'the 23 records before it',
    )
  })

  test('a record of 4 GB', async () => {
    const file = folder.write(
      'huge.pcap',
      withRecordField(CONTAINER, 9, 8, () => 0xffffffff),
    )
    const { stdout } = await expectWarning(
      file,
      'record 10 claims 4294967295 bytes, at byte',
      'the 9 records',
    )
    expect(stdout).toMatch(/Flows {2}1 tcp/)
  })

  test('a link type that is not decoded', async () => {
    const bytes = CONTAINER.slice()
    bytes.set(fields(true, [4, 105]), 20)
    await expectWarning(folder.write('wifi.pcap', bytes), 'IEEE802_11', '24 frames of wifi')
  })

  test('time that goes back by an hour', async () => {
    const back = withRecordField(CONTAINER, 12, 0, (seconds) => seconds - 3600)
    await expectWarning(folder.write('back.pcap', back), 'back.pcap: time goes backwards')
  })

  test('the same file twice', async () => {
    const run = await hoptrace('analyze', GOOD, `other=${GOOD}`)
    expect(run.stdout).toContain('given twice: it is read once')
    expect(run.stdout).toMatch(/^1 point /)
    expect(run.code).toBe(0)
  })

  test('points without a common packet', async () => {
    const run = await hoptrace('analyze', GOOD, 'captures/same-bridge/client.pcap.gz')
    expect(run.stdout).toContain('no packet was seen at more than one point')
    expect(run.stdout).toContain('Flows  3 tcp')
    expect(run.code).toBe(0)
  })

  test('forty points', async () => {
    const forty = emptyFolder('forty')
    for (let i = 10; i < 50; i++) folder.write(`forty/p${i}.pcap`, CONTAINER)
    const { stdout, code } = await hoptrace('analyze', forty)
    expect(stdout).toMatch(/^40 points · 960 frames · 2 flows/)
    for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(80)
    expect(code).toBe(0)
  })

  test('an empty file beside a good one in a folder is left out', async () => {
    const mixed = emptyFolder('mixed')
    folder.write('mixed/a.pcap', CONTAINER)
    folder.write('mixed/b.pcap', text(''))
    const { stdout, code } = await hoptrace('analyze', mixed)
    expect(stdout).toContain('empty: left out')
    expect(code).toBe(0)
  })
})

test('a good file and bad ones that were named: the good one is analysed, exit code 2', async () => {
  const notes = folder.write('notes.pcap', text('hello world'))
  for (const options of [[], ['--json'], ['--journeys', '-'], ['--check']]) {
    const { stdout, stderr, code } = await hoptrace('analyze', notes, GOOD, 'none.pcap', ...options)
    expect(stdout).toContain('203.0.113.238')
    expect(stderr).toMatch(/^hoptrace: none.pcap: no such file.*\nhoptrace: .*notes.pcap: not a capture.*\n$/)
    expect(code).toBe(2)
  }
})
