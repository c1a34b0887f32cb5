import { execFileSync, spawn } from 'node:child_process'
import { createWriteStream, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { temporaryFolder } from '../capture/reading.ts'
import { requireTool } from '../tools.ts'
import { expectHarmless, quote, shell } from './program.ts'

const folder = temporaryFolder()
const UPLINK = 'captures/outbound-masquerade/uplink.pcap.gz'
const MANY = 'captures/many-flows'
const ESCAPE = '\x1b['

describe('a reader that goes away early ends the program quietly', () => {
  test.concurrent.each(['', '--json', '--journeys -', '--packets', '--flow 1 --packets'])(
    'analyze %s',
    async (options) => {
      for (const reader of ['head -1', 'true']) {
        const run = await shell(`hoptrace analyze ${MANY} ${options} | ${reader}; echo "$PIPESTATUS"`)
        expect(run.stderr).toBe('')
        expect(run.stdout).toMatch(/(^|\n)0\n$/)
      }
    },
  )

  test('the exit code is what it would have been', async () => {
    const codes = 'echo "$PIPESTATUS"'
    expect((await shell(`hoptrace analyze captures/forward-drop --check | true; ${codes}`)).stdout).toBe(
      '1\n',
    )
    expect((await shell(`hoptrace analyze ${UPLINK} none.pcap 2>&1 | true; ${codes}`)).stdout).toBe('2\n')
  })

  test('--help, and errors that nobody reads', async () => {
    for (const command of [
      'hoptrace analyze --help | true',
      '(sleep 0.2; hoptrace analyze none) 2>&1 | true',
    ])
      expect(await shell(`${command}`)).toEqual({ stdout: '', stderr: '', code: 0 })
  })

  test('a journey file is written to its end all the same', async () => {
    const file = folder.path('all.jsonl')
    const run = await shell(`hoptrace analyze ${MANY} --packets --journeys ${file} | head -1`)
    expect([run.stderr, run.code]).toEqual(['', 0])
    const { stdout } = await shell(`hoptrace analyze ${MANY} --journeys - | sha256sum; sha256sum < ${file}`)
    const [streamed, written] = stdout.split('\n')
    expect(written).toBe(streamed)
  })
})

test.concurrent.each([
  ['> /dev/full', 'standard output: cannot be written (ENOSPC)'],
  ['--json > /dev/full', 'standard output: cannot be written (ENOSPC)'],
  ['--journeys - > /dev/full', 'standard output: cannot be written (ENOSPC)'],
  ['--journeys /dev/full > /dev/null', '/dev/full: cannot be written (ENOSPC)'],
])('a full disk: %s', async (options, message) => {
  const { stderr, code } = await shell(`hoptrace analyze ${MANY} ${options}`)
  expect(stderr).toMatch(/^hoptrace: [^\n]+\n$/)
  expect(stderr).toContain(message)
  expect(code).toBe(2)
})

describe('input that is no plain file', () => {
  test('standard input: piped, redirected, compressed or not', async () => {
    for (const command of [
      `hoptrace analyze - < ${UPLINK}`,
      `cat ${UPLINK} | hoptrace analyze -`,
      `zcat ${UPLINK} | hoptrace analyze /dev/stdin`,
    ]) {
      const { stdout, stderr, code } = await shell(command)
      expect(stdout).toMatch(/^1 point · 25 frames · 2 flows/)
      expect(stdout).toContain('stdin')
      expect([stderr, code]).toEqual(['', 0])
    }
    const named = await shell(`hoptrace analyze eth0=- < ${UPLINK} --json`)
    expect(JSON.parse(named.stdout).points[0]).toMatchObject({ name: 'eth0', source: '-' })
  })

  test('no standard input', async () => {
    for (const command of ['hoptrace analyze - < /dev/null', 'hoptrace analyze - <&-']) {
      const { stderr, code } = await shell(command)
      expect(stderr).toMatch(/^hoptrace: -: [^\n]+\n$/)
      expect(code).toBe(2)
    }
  })

  test('a FIFO, and the shell’s <(…)', async () => {
    const fifo = folder.path('pipe')
    execFileSync('mkfifo', [fifo])
    const writer = createWriteStream(fifo)
    writer.end(readFileSync(UPLINK))
    const { stdout, code } = await shell(`hoptrace analyze up=${quote(fifo)} c=<(zcat ${UPLINK}) --json`)
    expect(JSON.parse(stdout).points).toMatchObject([
      { name: 'up', packets: 25 },
      { name: 'c', packets: 25 },
    ])
    expect(code).toBe(0)
  })

  test('a writer that is slow: its end is waited for', async () => {
    const child = spawn('bash', ['-c', `(zcat ${UPLINK}; sleep 0.3) | node bin/hoptrace.js analyze - --json`])
    let out = ''
    child.stdout.on('data', (text) => {
      out += text
    })
    await new Promise((resolve) => child.on('close', resolve))
    expect(JSON.parse(out).flows).toHaveLength(2)
  })
})

describe.skipIf(!requireTool('script'))('on a terminal', () => {
  /** What a terminal of this width gets. */
  async function onTerminal(
    command: string,
    columns = 80,
    env: Record<string, string> = {},
  ): Promise<string> {
    const inner = `stty cols ${columns}; env -u CI ${quote(process.execPath)} bin/hoptrace.js ${command}`
    const { stdout } = await shell(`script -qec ${quote(inner)} /dev/null < /dev/null`, {
      TERM: 'xterm-256color',
      ...env,
    })
    return stdout.replaceAll('\r\n', '\n')
  }

  test('colour on a terminal only, and never with NO_COLOR', async () => {
    expect(await onTerminal(`analyze ${UPLINK}`)).toContain(ESCAPE)
    expect(await onTerminal(`analyze ${UPLINK} --flow 1 --packets`)).toContain(ESCAPE)
    expect(await onTerminal(`analyze ${UPLINK} --json`)).not.toContain(ESCAPE)
    expect(await onTerminal(`analyze ${UPLINK}`, 80, { NO_COLOR: '1' })).not.toContain(ESCAPE)
    expect(await onTerminal(`analyze ${UPLINK}`, 80, { TERM: 'dumb' })).not.toContain(ESCAPE)
    const piped = await shell(`hoptrace analyze ${UPLINK} --packets`, { FORCE_COLOR: '3' })
    expectHarmless(piped.stdout)
  })

  test.each([60, 80, 132])('lines fit into %i columns', async (columns) => {
    // A progress bar would come between on a slow machine: it is on stderr.
    const commands = [`analyze ${MANY} 2> /dev/null`, 'analyze captures/udp-and-ping --packets 2> /dev/null']
    for (const command of commands) {
      const shown = await onTerminal(command, columns, { NO_COLOR: '1' })
      expectHarmless(shown)
      for (const line of shown.split('\n')) expect([...line].length, line).toBeLessThanOrEqual(columns)
    }
  })
})
