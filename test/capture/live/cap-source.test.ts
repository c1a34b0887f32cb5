import { spawn } from 'node:child_process'
import { cpSync, existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { inNetworkNamespace } from '../../../src/capture/live/network-namespace.ts'
import type { LiveSource } from '../../../src/capture/live/source.ts'
import { Epoch } from '../../../src/capture/record.ts'
import { requireRoot, requireTool, run } from '../../tools.ts'
import { temporaryFolder } from '../reading.ts'

type CapSource = typeof import('../../../src/capture/live/cap-source.ts')

// The program beside it is JavaScript: that of the build.
const DIST = join(import.meta.dirname, '../../../dist')
const { openCap } = (await import(join(DIST, 'capture/live/cap-source.js'))) as CapSource
/** The package is optional. */
const hasCap = existsSync(join(import.meta.dirname, '../../../node_modules/cap'))
if (!hasCap && process.env.CI !== 'true') console.warn('cap is not installed: its tests are skipped')
const canCapture = requireRoot() && requireTool('ip', 'tcpdump') && (hasCap || process.env.CI === 'true')

const folder = temporaryFolder()
/** One end of the cable each. */
const LEFT = `hop-cap-${process.pid}-l`
const RIGHT = `hop-cap-${process.pid}-r`
const ip = (...args: string[]) => run('ip', ...args)

/** A program that opens the interface by the build at `path`, and prints the exit code and the message. */
const opening = (path: string) => `
  const { openCap } = await import(${JSON.stringify(join(path, 'capture/live/cap-source.js'))})
  const options = { epoch: { seconds: 0 }, snapLenBytes: 0, bufferBytes: 65536, enter: (open) => open() }
  await openCap('cap0', options).catch((error) => console.log(error.exitCode, error.message))`

/** Sends `count` datagrams of `size` bytes from one end to the other, each with its number. */
async function send(count: number, size: number, port = 5000): Promise<void> {
  const text = `
    const socket = require('node:dgram').createSocket('udp4')
    const data = Buffer.alloc(${size})
    let left = ${count}
    const next = () => {
      if (left-- === 0) return socket.close()
      data.writeUInt32BE(left)
      socket.send(data, ${port}, '10.79.0.1', next)
    }
    next()`
  const sender = spawn('ip', ['netns', 'exec', RIGHT, process.execPath, '-e', text], { stdio: 'ignore' })
  await new Promise((resolve) => sender.once('exit', resolve))
}

describe.skipIf(!canCapture)('cap on a veth pair', () => {
  const opened: LiveSource[] = []
  const epoch = new Epoch()
  epoch.seconds = Math.floor(Date.now() / 1000)
  const nowNs = () => (Date.now() - epoch.seconds * 1000) * 1e6

  const up = () => {
    ip('link', 'add', 'cap0', 'netns', LEFT, 'type', 'veth', 'peer', 'name', 'cap0', 'netns', RIGHT)
    for (const [netns, last, other] of [
      [LEFT, 1, 2],
      [RIGHT, 2, 1],
    ] as const) {
      const inside = (...args: string[]) => ip('-n', netns, ...args)
      inside('link', 'set', 'cap0', 'address', `02:00:00:00:00:0${last}`)
      inside('addr', 'add', `10.79.0.${last}/24`, 'dev', 'cap0')
      inside('link', 'set', 'cap0', 'up')
      inside(
        'neigh',
        'replace',
        `10.79.0.${other}`,
        'lladdr',
        `02:00:00:00:00:0${other}`,
        'dev',
        'cap0',
        'nud',
        'permanent',
      )
    }
  }

  beforeAll(() => {
    for (const netns of [LEFT, RIGHT]) {
      ip('netns', 'add', netns)
      ip('netns', 'exec', netns, 'sysctl', '-qw', 'net.ipv6.conf.default.disable_ipv6=1')
    }
    up()
  })
  afterAll(() => {
    for (const netns of [LEFT, RIGHT]) ip('netns', 'del', netns)
  })
  afterEach(() => {
    for (const source of opened.splice(0)) source.close()
  })

  async function open(interfaceName: string, options: Partial<Parameters<CapSource['openCap']>[1]> = {}) {
    const source = await openCap(interfaceName, {
      epoch,
      snapLenBytes: 0,
      bpf: 'udp',
      bufferBytes: 1 << 22,
      enter: (open) => inNetworkNamespace(`/run/netns/${LEFT}`, open),
      ...options,
    })
    opened.push(source)
    return source
  }

  interface Frame {
    hex: string
    originalLenBytes: number
    timeNs: number
  }

  async function collect(source: LiveSource, count: number, ms = 20_000): Promise<Frame[]> {
    const frames: Frame[] = []
    for (const end = Date.now() + ms; frames.length < count && Date.now() < end && !source.ended; ) {
      while (source.advance()) {
        const { bytes, start, end: stop, originalLenBytes, timeNs, flags } = source.record
        expect(flags).toBe(0)
        frames.push({
          hex: Buffer.from(bytes.subarray(start, stop)).toString('hex'),
          originalLenBytes,
          timeNs,
        })
      }
      await sleep(5)
    }
    return frames
  }

  test('the same frames as tcpdump, timed when they arrive', async () => {
    const path = folder.path('oracle.pcap')
    const oracle = spawn(
      'ip',
      ['netns', 'exec', LEFT, 'tcpdump', '-Z', 'root', '-U', '-i', 'cap0', '-w', path, 'udp'],
      { stdio: 'ignore' },
    )
    const source = await open('cap0')
    expect([source.linkType, source.fd, source.drops(), source.problem]).toEqual([1, -1, null, null])
    // It writes the header once it listens.
    const sizeBytes = () => (existsSync(path) ? statSync(path).size : 0)
    await expect.poll(sizeBytes, { timeout: 20_000 }).toBe(24)
    const beginNs = nowNs()
    await send(200, 700)
    const frames = await collect(source, 200)
    // Without immediate mode the kernel hands over frames once a second, and what it has not by the end is lost.
    await expect.poll(sizeBytes, { timeout: 20_000 }).toBe(24 + 200 * (16 + 742))
    oracle.kill('SIGTERM')
    await new Promise((resolve) => oracle.once('exit', resolve))
    const bytes = readFileSync(path)
    const expected: string[] = []
    for (let at = 24; at < bytes.length; at += 16 + bytes.readUInt32LE(at + 8))
      expected.push(bytes.subarray(at + 16, at + 16 + bytes.readUInt32LE(at + 8)).toString('hex'))
    expect(expected).toHaveLength(200)
    expect(frames.map(({ hex }) => hex)).toEqual(expected)
    expect(frames.every(({ originalLenBytes }) => originalLenBytes === 742)).toBe(true)
    const times = frames.map(({ timeNs }) => timeNs)
    expect(times).toEqual([...times].sort((a, b) => a - b))
    expect(times[0]).toBeGreaterThan(beginNs - 5e6)
    expect(times.at(-1)).toBeLessThan(nowNs() + 5e6)
    expect(source.advance()).toBe(false)
    expect(source.horizonNs(1e18)).toBeGreaterThan(1e18 - 1e9)
  })

  test('cut frames have the length that IP claims; a filter; stop', async () => {
    const source = await open('cap0', { snapLenBytes: 60, bpf: 'udp port 5001' })
    expect(source.snapLenBytes).toBe(60)
    await send(5, 1000, 5000)
    await send(20, 1000, 5001)
    const frames = await collect(source, 20)
    expect(frames.map(({ hex }) => hex.length)).toEqual(new Array(20).fill(120))
    expect(frames.every(({ originalLenBytes }) => originalLenBytes === 1042)).toBe(true)
    source.stop()
    expect(await collect(source, 1, 3000)).toEqual([])
    expect([source.ended, source.problem]).toEqual([true, null])
  })

  // Its buffer holds a thousand frames: on a machine that is busy with other things they may be too many.
  test('many frames, in bursts', { retry: 3 }, async () => {
    const source = await open('cap0')
    const collecting = collect(source, 4000, 15_000)
    for (let burst = 0; burst < 8; burst++) await send(500, 64)
    expect(await collecting).toHaveLength(4000)
  })

  test.each<[string, string, Partial<Parameters<CapSource['openCap']>[1]>, string]>([
    ['no such interface', 'nope0', {}, 'nope0: no such interface'],
    ['a hostile name', 'a\u001b[31m', {}, 'a\\x1B[31m: no such interface'],
    ['a wrong filter', 'cap0', { bpf: 'tcp prot 80' }, "can't be captured with cap (can't parse filter"],
  ])('%s', async (_, name, options, message) => {
    await expect(open(name, options)).rejects.toThrow(message)
    await expect(open(name, options)).rejects.toMatchObject({ name: 'HoptraceError', exitCode: 2 })
  })

  test('not permitted', async () => {
    const words = ['netns', 'exec', LEFT, 'setpriv', '--bounding-set=-all', process.execPath]
    const shown = run('ip', ...words, '--input-type=module', '-e', opening(DIST))
    expect(shown).toMatch(/^3 cap0: may not be captured: run it as root .*CAP_NET_RAW/)
    expect(shown.trim().split('\n')).toHaveLength(1)
  })

  test.each(['down', 'del'])('the interface goes (%s): its capture ends, and we go on', async (how) => {
    const source = await open('cap0')
    await send(3, 64)
    expect(await collect(source, 3)).toHaveLength(3)
    if (how === 'down') ip('-n', LEFT, 'link', 'set', 'cap0', 'down')
    else ip('-n', LEFT, 'link', 'del', 'cap0')
    await collect(source, 1, 5000)
    expect(source.ended).toBe(true)
    expect(source.problem).toBe('cap0: the interface went down or away, which cap does not survive')
    if (how === 'down') ip('-n', LEFT, 'link', 'set', 'cap0', 'up')
    else up()
    const again = await open('cap0')
    ip('-n', LEFT, 'neigh', 'replace', '10.79.0.2', 'lladdr', '02:00:00:00:00:02', 'dev', 'cap0')
    await send(3, 64)
    expect(await collect(again, 3)).toHaveLength(3)
  })
})

test('without the package', () => {
  const path = folder.path('elsewhere')
  cpSync(DIST, path, { recursive: true })
  folder.write('package.json', new TextEncoder().encode('{"type":"module"}'))
  const shown = run(process.execPath, '--input-type=module', '-e', opening(path))
  expect(shown).toMatch(/^2 --backend cap needs the package cap.*npm install cap.*libpcap-dev/)
})
