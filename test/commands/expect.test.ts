/** `--expect`, `--junit` and `--tap` of the real program: exit codes, and where each says what came of it. */

import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { JourneyReport } from '../../src/report/journey-lines.ts'
import type { Report } from '../../src/report/model.ts'
import { temporaryFolder } from '../capture/reading.ts'
import { expectRefused, hoptrace, shell } from './program.ts'

const folder = temporaryFolder()
const MASQUERADE = 'captures/outbound-masquerade'
const DROP = 'captures/forward-drop'
const expecting = (...expressions: string[]) => expressions.flatMap((it) => ['--expect', it])

describe('the exit code', () => {
  test.concurrent.each([
    [0, ['snat']],
    [0, ['snat', 'lost==0', 'ttl-drop==1', 'path=container,veth,bridge,uplink', 'p99(bridge,uplink)<1ms']],
    [1, ['no-snat']],
    [1, ['snat', 'flow(port=9): lost==0']],
    [1, ['dnat=172.17.0.2:80', 'snat']],
  ] as const)('%i for %j', async (wanted, expressions) => {
    const { stdout, stderr, code } = await hoptrace('analyze', MASQUERADE, ...expecting(...expressions))
    expect([stderr, code]).toEqual(['', wanted])
    const [, section] = stdout.split('\nExpectations  ')
    expect(section.match(/^ {2}[✓✗] (holds|does not hold): .*/gm)).toHaveLength(expressions.length)
    for (const expression of expressions) expect(section).toContain(`: ${expression}\n`)
    expect(section.includes('✗')).toBe(wanted === 1)
  })

  test('without --expect there is no word of it', async () => {
    expect((await hoptrace('analyze', DROP)).stdout).not.toContain('Expectations')
    expect((await hoptrace('analyze', DROP, '--json')).stdout).not.toContain('"expectations"')
  })

  test('--check remains: 1 where one of both says so', async () => {
    expect((await hoptrace('analyze', DROP, '--check', ...expecting('lost==3'))).code).toBe(1)
    expect((await hoptrace('analyze', DROP, ...expecting('lost==3'))).code).toBe(0)
    expect((await hoptrace('analyze', MASQUERADE, '--check', ...expecting('snat'))).code).toBe(0)
    expect((await hoptrace('analyze', MASQUERADE, '--check', ...expecting('dnat'))).code).toBe(1)
    const none = ['--check', '--port', '9', ...expecting('snat')]
    expect((await hoptrace('analyze', MASQUERADE, ...none)).code).toBe(2)
  })

  test('an input that cannot be read is worse than what does not hold', async () => {
    const { stdout, code } = await hoptrace('analyze', MASQUERADE, '/nowhere.pcap', ...expecting('dnat'))
    expect(stdout).toContain('✗ does not hold: dnat\n')
    expect(code).toBe(2)
  })

  test('a reader that has seen enough changes nothing', async () => {
    const { stdout } = await shell(
      `set -o pipefail; hoptrace analyze ${DROP} --expect lost==0 | head -1 >/dev/null; echo \${PIPESTATUS[0]}`,
    )
    expect(stdout).toBe('1\n')
  })
})

describe('usage: exit code 2, before anything is read', () => {
  test.concurrent.each([
    [
      expecting('flow(port=80): lst==0'),
      "--expect 'flow(port=80): lst==0': 'lst' at character 16 is no word",
    ],
    [expecting('snat', ''), "--expect '': is empty"],
    [expecting('snat\n\x1b[2J'), "--expect 'snat\\x0a\\x1b[2J': '\\x1b[2J' at character 6 stands"],
    [['--junit', '/nowhere/x.xml'], '--junit is for what --expect comes to'],
    [['--tap', '-'], '--tap is for what --expect comes to'],
    [[...expecting('snat'), '--junit', '-'], '--junit wants a file'],
    [[...expecting('snat'), '--junit', '/dev/stdout'], '--junit wants a file'],
    [[...expecting('snat'), '--tap', '-', '--json'], '--tap - and --json both want stdout'],
    [[...expecting('snat'), '--tap', '-', '--journeys', '-'], '--tap - and --journeys - both want stdout'],
    [[...expecting('snat'), '--tap', '-', '--packets'], '--tap - and --packets both want stdout'],
    [[...expecting('snat'), '--tap', '/x', '--junit', '/x'], '/x is to be written twice'],
    [[...expecting('snat'), '--tap', '/x', '--write', '/x'], '/x is to be written twice'],
    [
      [...expecting('snat'), '--junit', '/nowhere/x.xml'],
      '/nowhere/x.xml: cannot be written (ENOENT): give --junit a file',
    ],
    [
      [...expecting('snat'), '--tap', `${MASQUERADE}/veth.pcap.gz`],
      'veth.pcap.gz: is a capture, not overwritten',
    ],
  ])('%j', async (options, message) => {
    const ran = await hoptrace('analyze', '/nowhere.pcap', ...options)
    expectRefused(ran, /^hoptrace: /)
    expect(ran.stderr).toContain(message)
  })

  test('capture, without being root or finding anything', async () => {
    const capture = (...options: string[]) => hoptrace('capture', '--container', 'nowhere', ...options)
    expectRefused(await capture(...expecting('lst==0')), "'lst' at character 1 is no word")
    expectRefused(await capture('--tap', '-'), '--tap is for what --expect comes to')
    for (const option of ['--json', '--ndjson'])
      expectRefused(await capture(option, '--tap', '-', ...expecting('snat')), `--tap - and ${option} both`)
    expectRefused(await capture('--no-join', '-w', '/x', ...expecting('snat')), '--no-join only writes')
  })
})

describe('where it is told', () => {
  test('--json stays one document', async () => {
    const { stdout, stderr, code } = await hoptrace(
      'analyze',
      DROP,
      '--json',
      ...expecting('lost==0', 'via=bridge'),
    )
    expect([stderr, code]).toEqual(['', 1])
    expect((JSON.parse(stdout) as Report).expectations).toEqual([
      {
        expression: 'lost==0',
        holds: false,
        evidence: '3 packets lost: flow 1: 3 forward from bridge to uplink',
        flows: [1],
      },
      {
        expression: 'via=bridge',
        holds: true,
        evidence: 'flow 1: seen at container, veth, bridge',
        flows: [1],
      },
    ])
  })

  test('of what --filter leaves', async () => {
    const mixed = 'captures/udp-and-ping'
    expect((await hoptrace('analyze', mixed, ...expecting('snat'))).code).toBe(1)
    const some = await hoptrace('analyze', mixed, '--filter', 'udp', ...expecting('snat', 'flows==2'))
    expect([some.code, some.stdout.match(/✓ holds/g)?.length]).toEqual([0, 2])
    const none = await hoptrace('analyze', mixed, '--filter', 'tcp', ...expecting('lost==0'))
    expect(none.stdout).toBe(
      "No flow matches --filter 'tcp', out of 4 flows (2 icmp, 2 udp)\n\n" +
        'Expectations  1 does not hold\n  ✗ does not hold: lost==0\n    there is no flow\n',
    )
    expect(none.code).toBe(1)
  })

  test('below a flow in detail', async () => {
    const { stdout, code } = await hoptrace('analyze', DROP, '--flow', '1', ...expecting('lost==0'))
    expect(stdout).toMatch(/^Flow 1 /)
    expect(stdout).toMatch(/\n\nExpectations {2}1 does not hold\n {2}✗ does not hold: lost==0\n.*\n$/)
    expect(code).toBe(1)
  })

  test('on stderr where stdout has the journeys', async () => {
    const ran = await hoptrace('analyze', DROP, '--journeys', '-', ...expecting('lost==0', 'via=veth'))
    expect(ran.stderr).toBe(
      'hoptrace: does not hold: lost==0: 3 packets lost: flow 1: 3 forward from bridge to uplink\n' +
        'hoptrace: holds: via=veth: flow 1: seen at container, veth, bridge\n',
    )
    const journeys = ran.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as JourneyReport)
    expect([journeys.length, ran.code]).toEqual([3, 1])
  })

  test('--tap -: nothing else on stdout', async () => {
    const { stdout, stderr, code } = await hoptrace(
      'analyze',
      DROP,
      '--tap',
      '-',
      ...expecting('lost==0', 'via=veth'),
    )
    expect(stdout).toBe(
      'TAP version 13\n1..2\n' +
        'not ok 1 - lost==0\n  ---\n  evidence: "3 packets lost: flow 1: 3 forward from bridge to uplink"\n  flows: [1]\n  ...\n' +
        'ok 2 - via=veth\n  ---\n  evidence: "flow 1: seen at container, veth, bridge"\n  flows: [1]\n  ...\n',
    )
    expect([stderr, code]).toEqual(['', 1])
  })

  test('files beside the report, whole also where nothing holds', async () => {
    const [tap, junit, journeys] = ['run.tap', 'run.xml', 'journeys'].map(folder.path)
    const files = ['--tap', tap, '--junit', junit, '--journeys', journeys]
    const { stdout, stderr, code } = await hoptrace('analyze', DROP, '--json', ...files, ...expecting('snat'))
    expect([stderr, code]).toEqual(['', 1])
    const { expectations } = JSON.parse(stdout) as Report
    expect(expectations).toMatchObject([{ expression: 'snat', holds: false }])
    expect(readFileSync(tap, 'utf8')).toMatch(/^TAP version 13\n1\.\.1\nnot ok 1 - snat\n/)
    const xml = readFileSync(junit, 'utf8')
    expect(xml).toContain(`<testsuite name="hoptrace analyze ${DROP}" tests="1" failures="1"`)
    expect(xml).toContain('<testcase classname="hoptrace analyze captures/forward-drop" name="snat">')
    expect(existsSync(journeys)).toBe(true)
  })
})
