import { execFileSync } from 'node:child_process'
import { linkSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { resolveInputs, systemErrorText } from '../../src/capture/inputs.ts'
import { MergedRecords } from '../../src/capture/merge.ts'
import { fileName } from '../../src/capture/points.ts'
import { HoptraceError } from '../../src/errors.ts'
import { Blocks, frame, join, pcap } from './bytes.ts'
import { temporaryFolder } from './reading.ts'

const folder = temporaryFolder()
const CAPTURE = pcap([{ seconds: 1, fraction: 0, bytes: frame(60) }])
const ng = new Blocks()

/** A directory with these files. */
function directory(name: string, files: Record<string, Uint8Array>): string {
  const path = folder.path(name)
  mkdirSync(path)
  for (const [file, bytes] of Object.entries(files)) writeFileSync(`${path}/${file}`, bytes)
  return path
}

test('a directory gives its captures by name, known by what is in them', async () => {
  const path = directory('mixed', {
    'b.pcap': CAPTURE,
    'a.pcapng.gz': gzipSync(join(ng.section(), ng.interface())),
    c: CAPTURE,
    'conntrack.txt': new TextEncoder().encode('no capture'),
    'text.gz': gzipSync('no capture'),
    'broken.gz': Uint8Array.of(0x1f, 0x8b, 1, 2, 3),
    'empty.txt': new Uint8Array(0),
    'empty.pcap': new Uint8Array(0),
    'notes.cap': new TextEncoder().encode('no capture'),
    'UPPER.PCAP.GZ': gzipSync('no capture'),
  })
  mkdirSync(`${path}/deeper.pcap`)
  execFileSync('mkfifo', [`${path}/pipe.pcap`])
  symlinkSync('nowhere', `${path}/dangling.pcap`)
  const { inputs, warnings, failures } = await resolveInputs([path])
  expect(inputs.map((input) => basename(input.path))).toEqual(['a.pcapng.gz', 'b.pcap', 'c'])
  expect(inputs.every(({ source, name }) => source.startsWith(path) && name === null)).toBe(true)
  expect(warnings).toEqual([
    `${path}/UPPER.PCAP.GZ: named like a capture, but is none: left out`,
    `${path}/dangling.pcap: no such file or directory: check the path`,
    `${path}/empty.pcap: empty: left out`,
    `${path}/notes.cap: named like a capture, but is none: left out`,
  ])
  expect(failures).toEqual([])
})

test('names: before =, unless a file is called so, and never with a slash', async () => {
  const plain = folder.write('plain.pcap', CAPTURE)
  const odd = folder.write('a=b.pcap', CAPTURE)
  const { inputs } = await resolveInputs([`veth=${plain}`, odd])
  expect(inputs).toEqual([
    { path: plain, source: plain, name: 'veth' },
    { path: odd, source: odd, name: null },
  ])
})

test('the same file twice, under whatever name, is read once', async () => {
  const path = folder.write('one.pcap', CAPTURE)
  linkSync(path, folder.path('hard.pcap'))
  symlinkSync(path, folder.path('soft.pcap'))
  const { inputs, warnings } = await resolveInputs([
    path,
    folder.path('hard.pcap'),
    folder.path('soft.pcap'),
    path,
  ])
  expect(inputs).toHaveLength(1)
  expect(warnings).toEqual([
    `${folder.path('hard.pcap')}: the same file as ${path}: it is read once`,
    `${folder.path('soft.pcap')}: the same file as ${path}: it is read once`,
    `${path}: given twice: it is read once`,
  ])
})

test('what cannot be read is told for each, and the rest goes on', async () => {
  const good = folder.write('good.pcap', CAPTURE)
  const empty = folder.write('empty.pcap', new Uint8Array(0))
  const none = folder.path('none.pcap')
  const { inputs, failures } = await resolveInputs([none, good, empty])
  expect(inputs).toHaveLength(1)
  expect(failures.map(({ message }) => message)).toEqual([
    `${none}: no such file or directory: check the path`,
    `${empty}: empty, not a capture file: was anything written to it?`,
  ])
})

test('a file that is no capture beside one that is', async () => {
  const good = folder.write('good.pcap', CAPTURE)
  const notes = folder.write('notes.pcap', new TextEncoder().encode('hello world'))
  const { inputs } = await resolveInputs([notes, good])
  const merged = await MergedRecords.open(inputs)
  expect(merged.failures).toMatchObject([
    { source: notes, message: expect.stringContaining('not a capture file') },
  ])
  expect(merged.points.map(({ name }) => name)).toEqual(['good'])
  await merged.close()
})

const bare = () => directory('bare', { 'readme.txt': new TextEncoder().encode('text') })

test.each([
  ['no input', () => [], 'no input: give capture files, a directory with captures, or -'],
  ['no such file', () => ['/nonexistent/x.pcap'], '/nonexistent/x.pcap: no such file or directory'],
  ['a name and no such file', () => ['veth=/nonexistent/x.pcap'], '/nonexistent/x.pcap: no such file'],
  ['a file as directory', () => [`${folder.write('f.pcap', CAPTURE)}/x`], 'cannot be read (ENOTDIR)'],
  ['a directory without captures', () => [bare()], 'a directory without captures'],
  ['a named directory', () => [`veth=${folder.path('bare')}`], 'is a directory, and a point is one capture'],
  ['a name that would clear the screen', () => ['\x1b[2Jx'], '\\x1B[2Jx: no such file'],
  ['a path with a zero byte', () => ['a\0b'], 'a\\x00b: cannot be read'],
])('error: %s', async (_, args, message) => {
  const error = await resolveInputs(args()).catch((caught) => caught)
  expect(error).toBeInstanceOf(HoptraceError)
  expect(error.message).toContain(message)
  expect(error.message).not.toContain('\n')
  expect(error.exitCode).toBe(2)
})

test.each([
  ['EACCES', 'not readable (permission denied)'],
  ['EMFILE', 'too many open files: raise `ulimit -n`'],
  ['EIO', 'cannot be read (EIO)'],
])('system error %s in one line', (code, text) => {
  expect(systemErrorText('x.pcap', Object.assign(new Error(code), { code }))).toContain(`x.pcap: ${text}`)
})

test.each([
  ['dir/uplink.pcap.gz', 'uplink'],
  ['uplink.PCAPNG', 'uplink'],
  ['uplink.cap.zst', 'uplink'],
  ['a.b.dump', 'a.b'],
  ['uplink', 'uplink'],
  ['.pcap', '.pcap'],
  ['x.pcap1', 'x.pcap1'],
  ['-', 'stdin'],
  ['/dev/fd/63', 'fd63'],
])('the name of %s is %s', (path, name) => {
  expect(fileName(path)).toBe(name)
})
