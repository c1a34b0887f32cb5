import { readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { JourneyReport } from '../../src/report/journey-lines.ts'
import type { Report } from '../../src/report/model.ts'
import { temporaryFolder } from '../capture/reading.ts'
import { expectRefused, hoptrace } from './program.ts'

const folder = temporaryFolder()
const MASQUERADE = 'captures/outbound-masquerade'
const INBOUND = 'captures/inbound-published-port'
const MIXED = 'captures/udp-and-ping'

async function report(...args: string[]): Promise<Report> {
  const { stdout, stderr, code } = await hoptrace('analyze', ...args, '--json')
  expect([stderr, code]).toEqual(['', 0])
  return JSON.parse(stdout)
}

const lines = (text: string) => text.trimEnd().split('\n')

test('--version and --help', async () => {
  const version = JSON.parse(readFileSync('package.json', 'utf8')).version
  expect(await hoptrace('--version')).toEqual({ stdout: `${version}\n`, stderr: '', code: 0 })
  for (const args of [['--help'], ['analyze', '--help'], ['help', 'analyze']]) {
    const { stdout, stderr, code } = await hoptrace(...args)
    expect(stdout).toMatch(/Examples?:\n {2}hoptrace analyze /)
    for (const line of lines(stdout)) expect(line.length, line).toBeLessThanOrEqual(80)
    expect([stderr, code]).toEqual(['', 0])
  }
})

describe('points', () => {
  test('NAME=FILE names a point', async () => {
    const { points } = await report(`inside=${MASQUERADE}/container.pcap.gz`, `${MASQUERADE}/uplink.pcap.gz`)
    expect(points.map(({ name }) => name)).toEqual(['inside', 'uplink'])
  })

  test('--path states the order, also of some of the points, and in spite of what the packets say', async () => {
    const right = ['container', 'veth', 'bridge', 'uplink']
    expect((await report(MASQUERADE)).path).toEqual(right)
    expect((await report(MASQUERADE, '--path', right.join(','))).path).toEqual(right)
    const some = (await report(MASQUERADE, '--path', 'uplink, container')).path
    expect(some.toSorted()).toEqual(right.toSorted())
    expect(some.indexOf('uplink')).toBeLessThan(some.indexOf('container'))
    const wrong = ['veth', 'container', 'bridge', 'uplink']
    expect((await report(MASQUERADE, '--path', wrong.join(','))).path).toEqual(wrong)
  })

  test.concurrent.each([
    [
      'container,nope',
      /--path names nope, which is no point here: the points are bridge, container, uplink, veth/,
    ],
    ['container,container', '--path names a point twice'],
    ['a,,b', 'Give names separated by commas'],
    ['\x1b[2J', /--path names \\x1B\[2J, which/],
  ])('--path %j', async (path, message) => {
    expectRefused(await hoptrace('analyze', MASQUERADE, '--path', path), message)
  })
})

describe('filters match at any point', () => {
  const count = async (...args: string[]) => (await report(...args)).flows.length

  test('--host: the address inside the container, the uplink’s, the server’s', async () => {
    const whole = await report(MASQUERADE)
    for (const host of ['172.17.0.3', '192.168.78.100', '203.0.113.238'])
      expect((await report(MASQUERADE, '--host', host)).flows).toEqual(whole.flows)
    expect(await count(MASQUERADE, '--host', '10.9.9.9', '--host', '172.17.0.3')).toBe(2)
    const { stdout } = await hoptrace('analyze', MASQUERADE, '--host', '172.17.0.3')
    expect(stdout).toContain('SNAT 172.17.0.3:47276 → 192.168.78.100:47276')
  })

  test('--port: before and behind the translation', async () => {
    const all = await count(INBOUND)
    expect(all).toBeGreaterThan(0)
    expect(await count(INBOUND, '--port', '8078')).toBe(all)
    expect(await count(INBOUND, '--port', '80')).toBe(all)
    expect(await count('captures/port-collision', '--port', '45000')).toBe(2)
  })

  test('--host and --port may be met by different ends, as in tcpdump', async () => {
    expect(await count(MASQUERADE, '--host', '172.17.0.3', '--port', '80')).toBe(2)
    expect(await count(MASQUERADE, '--host', '192.168.78.100', '--port', '47276')).toBe(1)
  })

  test('--proto, whatever its case, and together with others', async () => {
    expect(await count(MIXED, '--proto', 'icmp')).toBe(2)
    expect(await count(MIXED, '--proto', 'UDP', '--proto', 'icmp')).toBe(4)
    expect(await count(MIXED, '--proto', 'udp', '--port', '9999')).toBe(1)
  })

  test('--flow shows the flow station by station; findings are those about it', async () => {
    const { stdout } = await hoptrace('analyze', MIXED, '--flow', '3')
    expect(stdout).toMatch(/^Flow 3 {2}udp · refused/)
    expect(stdout).toContain('● container')
    expect(stdout).toContain('TTL 64 → 63')
    expect(stdout).toContain('connection-refused')
    expect(stdout).not.toContain('ttl-expired')
    const { flows, findings } = await report(MIXED, '--flow', '3')
    expect(flows.map(({ id }) => id)).toEqual([3])
    expect(findings.filter(({ flow }) => flow !== null && flow !== 3)).toEqual([])
  })

  test('nothing matches: a sentence and exit code 0', async () => {
    const sentence = 'No flow matches --host 9.9.9.9 --proto tcp, out of 4 flows (2 icmp, 2 udp)\n'
    const filter = ['--host', '9.9.9.9', '--proto', 'tcp']
    expect(await hoptrace('analyze', MIXED, ...filter)).toEqual({ stdout: sentence, stderr: '', code: 0 })
    const json = await hoptrace('analyze', MIXED, ...filter, '--json')
    expect(JSON.parse(json.stdout).flows).toEqual([])
    expect([json.stderr, json.code]).toEqual([`hoptrace: ${sentence}`, 0])
    const journeys = await hoptrace('analyze', MIXED, ...filter, '--journeys', '-')
    expect(journeys).toEqual({ stdout: '', stderr: `hoptrace: ${sentence}`, code: 0 })
  })

  test.concurrent.each([
    [['--flow', '5'], '--flow 5: there are only flows 1 to 4'],
    [['--flow', '0'], 'Give a number from 1 on'],
    [['--flow', 'x'], 'Give a number from 1 on'],
    [['--port', '65536'], 'Give a number from 0 to 65535'],
    [['--host', 'web'], 'Give an IP address, such as'],
  ])('%j is refused', async (args, message) => {
    expectRefused(await hoptrace('analyze', MIXED, ...args), message)
  })
})

describe('journeys and packets', () => {
  test('--journeys - is lines of JSON and nothing else, as many as packets were sent', async () => {
    const { stdout, stderr, code } = await hoptrace('analyze', MASQUERADE, '--journeys', '-')
    const journeys = lines(stdout).map((line) => JSON.parse(line) as JourneyReport)
    const { flows } = await report(MASQUERADE)
    for (const { id, forward, reverse } of flows)
      for (const [direction, sent] of Object.entries({ forward, reverse })) {
        const own = journeys.filter((journey) => journey.flow === id && journey.direction === direction)
        expect(own).toHaveLength(sent.packets)
      }
    for (const { sightings, outcome } of journeys) {
      expect(outcome).toBe('delivered')
      expect(sightings).toHaveLength(4)
      for (const { frames, timeNs } of sightings) {
        expect(frames.every((frame) => Number.isInteger(frame) && frame > 0)).toBe(true)
        expect(timeNs).toMatch(/^\d{19}$/)
      }
    }
    expect([stderr, code]).toEqual(['', 0])
  })

  test('a lost packet names the two points', async () => {
    const { stdout } = await hoptrace('analyze', 'captures/forward-drop', '--journeys', '-')
    const journeys = lines(stdout).map((line) => JSON.parse(line) as JourneyReport)
    expect(journeys).toHaveLength(3)
    for (const journey of journeys)
      expect(journey).toMatchObject({ outcome: 'lost', lostBetween: ['bridge', 'uplink'] })
  })

  test('--journeys FILE writes the same beside the report, --json or --packets', async () => {
    const { stdout } = await hoptrace('analyze', MIXED, '--flow', '2', '--journeys', '-')
    for (const option of ['--json', '--packets', '--check']) {
      const file = folder.path(`journeys${option}.jsonl`)
      writeFileSync(file, 'what was there before '.repeat(10_000))
      const run = await hoptrace('analyze', MIXED, '--flow', '2', option, '--journeys', file)
      expect(readFileSync(file, 'utf8')).toBe(stdout)
      if (option === '--json') expect(JSON.parse(run.stdout).flows).toHaveLength(1)
      else expect(run.stdout).toMatch(/^Flow 2 /)
      if (option === '--packets') expect(run.stdout).toContain('udp len 2')
      expect(run.stderr).toBe('')
    }
  })

  test.concurrent.each([
    ['-', '--json and --journeys - both want stdout'],
    ['/dev/stdout', '--json and --journeys - both want stdout'],
    ['/nonexistent/j', '/nonexistent/j: cannot be written (ENOENT)'],
    ['/tmp', '/tmp: cannot be written (EISDIR)'],
  ])('--json --journeys %s is refused', async (path, message) => {
    expectRefused(await hoptrace('analyze', MASQUERADE, '--json', '--journeys', path), message)
  })

  test('--journeys never overwrites a capture', async () => {
    const bytes = readFileSync(`${MASQUERADE}/veth.pcap.gz`)
    const capture = folder.write('veth.pcap.gz', bytes)
    expectRefused(
      await hoptrace('analyze', '--journeys', capture, MASQUERADE),
      'is a capture, not overwritten',
    )
    expect(readFileSync(capture).equals(bytes)).toBe(true)
  })

  test('--packets lists a line each, with the flow where there are several', async () => {
    const one = await hoptrace('analyze', MASQUERADE, '--flow', '1', '--packets')
    const packets = lines(one.stdout.split('\n\n').at(-1)!)
    expect(packets).toHaveLength(12)
    expect(packets[0]).toMatch(/^ +0 ns → {2}\[S\] .*container 64 .*SNAT 192\.168\.78\.100:47276/)
    const all = await hoptrace('analyze', MASQUERADE, '--packets')
    const both = lines(all.stdout.split('\n\n').at(-1)!)
    expect(both).toHaveLength(22)
    expect(both.filter((line) => line.startsWith('#1 '))).toHaveLength(12)
    expect(both.filter((line) => line.startsWith('#2 '))).toHaveLength(10)
  })
})

test.concurrent.each([
  ['forward-drop', 1],
  ['masquerade-missing', 1],
  ['outbound-masquerade', 0],
  ['same-bridge', 0],
])('--check: captures/%s ends with %i', async (scenario, code) => {
  const checked = await hoptrace('analyze', `captures/${scenario}`, '--check')
  const plain = await hoptrace('analyze', `captures/${scenario}`)
  expect(checked).toEqual({ ...plain, code })
  expect(plain.code).toBe(0)
})

test('--check looks at the flows that were asked for', async () => {
  expect((await hoptrace('analyze', MIXED, '--check')).code).toBe(1)
  expect((await hoptrace('analyze', MIXED, '--check', '--flow', '2')).code).toBe(0)
})
