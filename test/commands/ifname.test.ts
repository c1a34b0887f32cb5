/** `--ifname`: interfaces that a capture knows by number get the names that the user knows. */

import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { requireTool, run } from '../tools.ts'
import { expectHarmless, expectRefused, hoptrace } from './program.ts'

const ANY = 'captures/any-cooked/any.pcap.gz'
let folder: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'hoptrace-ifname-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

async function pointsOf(...args: string[]): Promise<string[]> {
  const { stdout, stderr } = await hoptrace('analyze', '--json', ...args)
  expect(stderr).toBe('')
  return JSON.parse(stdout).points.map(({ name }: { name: string }) => name)
}

async function warningsOf(...args: string[]): Promise<string[]> {
  return JSON.parse((await hoptrace('analyze', '--json', ...args)).stdout).warnings
}

test('by index, and by file and index; the others keep their numbers', async () => {
  const names = ['--ifname', '3=docker0', '--ifname', 'any:2=eth0']
  expect((await pointsOf(ANY, ...names)).sort()).toEqual(['any:6', 'any:8', 'docker0', 'eth0'])
  // The name is the point's: whoever states the path states it with that.
  const { stdout, code } = await hoptrace('analyze', ANY, ...names, '--path', 'any:8,docker0,eth0')
  expect(code).toBe(0)
  expect(stdout).toContain('any:8 ── docker0 ──[ SNAT · TTL −1 ]── eth0')
})

test('two files with an interface 3 each', async () => {
  const other = join(folder, 'other.pcap.gz')
  copyFileSync(ANY, other)
  const names = await pointsOf(ANY, other, '--ifname', 'any:3=docker0', '--ifname', 'other:3=docker1')
  expect(names).toEqual(expect.arrayContaining(['docker0', 'docker1', 'any:6', 'other:6']))
  expect(await warningsOf(ANY, other, '--ifname', '3=docker0')).toEqual([
    '--ifname 3=docker0 fits any:3, other:3: say which, as in any:3=docker0',
  ])
  // The name of the input counts, where it has one.
  expect(await pointsOf(`here=${ANY}`, '--ifname', 'here:3=docker0')).toContain('docker0')
})

test.skipIf(!requireTool('editcap', 'mergecap'))(
  'inside of a pcapng as well, and for its nameless interfaces',
  async () => {
    const cooked = join(folder, 'cooked.pcapng')
    run('editcap', '-F', 'pcapng', ANY, cooked)
    expect(await pointsOf(cooked, '--ifname', '3=docker0')).toContain('docker0')
    const merged = join(folder, 'merged.pcapng')
    const files = ['uplink', 'bridge'].map((name) => `captures/outbound-masquerade/${name}.pcap.gz`)
    run('mergecap', '-I', 'none', '-w', merged, ...files)
    expect(await pointsOf(merged, '--ifname', '1=bridge')).toEqual(['merged:0', 'bridge'])
  },
)

test('an index that never comes up is told in one line', async () => {
  expect(await warningsOf(ANY, '--ifname', '77=x', '--ifname', '3=docker0')).toEqual([
    '--ifname 77=x: there is no such interface: those here are any:2, any:3, any:6, any:8',
  ])
  expect(await warningsOf('captures/same-bridge', '--ifname', '0=x')).toEqual([
    '--ifname 0=x: no capture here has interfaces by number, as those of `tcpdump -i any` do',
  ])
  const { stdout } = await hoptrace('analyze', ANY, '--ifname', 'evil\u001b[2J\u202e:3=x')
  expectHarmless(stdout)
  expect(stdout).toContain('evil\\x1B[2J\\u{202E}:3=x')
})

test.each([
  ['3', 'Give INDEX=NAME or FILE:INDEX=NAME'],
  ['=x', 'Give INDEX=NAME or FILE:INDEX=NAME'],
  ['eth0=x', 'Give INDEX=NAME or FILE:INDEX=NAME'],
  ['-1=x', 'Give INDEX=NAME or FILE:INDEX=NAME'],
  ['4294967296=x', 'Give INDEX=NAME or FILE:INDEX=NAME'],
  ['3=', 'A point needs a name'],
  ['3=a b', 'A point needs a name'],
  ['3=a,b', 'A point needs a name'],
  [`3=${'x'.repeat(61)}`, 'A point needs a name'],
  ['3=\u001b]0;title\u0007', 'A point needs a name'],
  ['3=docker\u202e0', 'A point needs a name'],
  ['any\n:3=\r', 'A point needs a name'],
])('refuses %j', async (value, message) => {
  const ran = await hoptrace('analyze', ANY, '--ifname', value)
  expectRefused(ran, message)
  expectHarmless(ran.stderr)
})

test('refuses to name one interface twice, or two alike', async () => {
  const named = (...names: string[]) =>
    hoptrace('analyze', ANY, ...names.flatMap((name) => ['--ifname', name]))
  expectRefused(await named('3=a', '03=b'), 'Interface 3 has a name already: a')
  expectRefused(await named('3=a', 'any:4=a'), 'Another interface is called a already')
})
