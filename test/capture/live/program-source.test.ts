import { execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { splitCommandLine } from '../../../src/capture/live/command-line.ts'
import { StreamedCapture, type StreamOptions } from '../../../src/capture/live/program-source.ts'
import { Epoch } from '../../../src/capture/record.ts'
import { requireTool, run } from '../../tools.ts'
import { Blocks, frame, join, pcap } from '../bytes.ts'
import { readAll, shippedBytes, temporaryFolder } from '../reading.ts'

const folder = temporaryFolder()
const NODE = process.execPath
const opened: StreamedCapture[] = []
afterEach(() => {
  for (const source of opened.splice(0)) source.close()
})

const script = (name: string, text: string) => folder.write(name, new TextEncoder().encode(text))
const capture = () => folder.write('hairpin.pcap', shippedBytes('hairpin/bridge'))
const many = (count: number, size = 100) =>
  pcap(
    Array.from({ length: count }, (_, i) => ({
      seconds: 1_700_000_000 + i,
      fraction: i,
      bytes: frame(size, i),
    })),
  )

async function program(words: string[], options?: StreamOptions, epoch = new Epoch()) {
  const source = await StreamedCapture.openProgram(words, words[0], epoch, options)
  opened.push(source)
  return source
}

async function pipe(path: string, options?: StreamOptions) {
  const source = await StreamedCapture.openPipe(path, 'fifo', new Epoch(), options)
  opened.push(source)
  return source
}

interface Frame {
  timeNs: number
  bytes: Uint8Array
  interfaceIndex: number
  linkType: number
}

/** All frames that are there, without waiting. */
function takeAll(source: StreamedCapture): Frame[] {
  const frames: Frame[] = []
  while (source.advance()) {
    const { record } = source
    const { timeNs, interfaceIndex, linkType } = record
    frames.push({ timeNs, interfaceIndex, linkType, bytes: record.bytes.slice(record.start, record.end) })
  }
  return frames
}

/** All frames up to the end; or until `enough` holds. */
async function drain(source: StreamedCapture, enough = (_: Frame[]) => false): Promise<Frame[]> {
  const frames: Frame[] = []
  for (;;) {
    const ready = new Promise<void>((resolve) => {
      source.onReady = resolve
    })
    frames.push(...takeAll(source))
    if (source.ended || enough(frames)) return frames
    await ready
  }
}

/** Comparing long arrays element by element takes minutes. */
const digest = (bytes: Uint8Array) => `${bytes.length} ${createHash('sha1').update(bytes).digest('hex')}`

function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'))
  } catch {
    return false
  }
}

async function waitFor(condition: () => boolean, ms = 20_000): Promise<void> {
  for (const end = Date.now() + ms; !condition() && Date.now() < end; ) await sleep(20)
  expect(condition()).toBe(true)
}

describe('splitting a command line', () => {
  test.each([
    ['ssh host tcpdump -U -w - -i eth0', ['ssh', 'host', 'tcpdump', '-U', '-w', '-', '-i', 'eth0']],
    ['  a\t b\nc ', ['a', 'b', 'c']],
    ['', []],
    [`a '' ""`, ['a', '', '']],
    [`ssh h 'tcpdump "port 80"'`, ['ssh', 'h', 'tcpdump "port 80"']],
    [`a"b c"'d e'f`, ['ab cd ef']],
    [String.raw`a\ b \\ \' "\"\$\x"`, ['a b', '\\', "'", '"$\\x']],
    ['a\\\nb "c\\\nd"', ['ab', 'cd']],
    ['$HOME `id` * ~ | ; & > # $(id)', ['$HOME', '`id`', '*', '~', '|', ';', '&', '>', '#', '$(id)']],
    ['end\\', ['end\\']],
  ])('%j', (text, words) => {
    expect(splitCommandLine(text)).toEqual(words)
  })

  test.each([
    [`ssh 'host`, "the ' at character 5 is not closed"],
    [`a "b\\"`, 'the " at character 3 is not closed'],
    [`'a' "`, 'the " at character 5 is not closed'],
  ])('%j is refused', (text, message) => {
    expect(() => splitCommandLine(text)).toThrow(message)
  })

  test('as sh does it', () => {
    const piece = fc.oneof(
      fc.stringMatching(/^[a-z=:/.-]{1,4}$/),
      fc.stringMatching(/^'[ -&(-~]{0,5}'$/),
      fc.stringMatching(/^"([ !#%-[\]^_a-~]|\\[$`"\\a ]){0,5}"$/),
      fc.stringMatching(/^\\[ -~]$/),
      fc.constant(' '),
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const text = pieces.join('')
        const shown = run('sh', '-c', `for word in ${text}\ndo printf '%s\\0' "$word"\ndone`)
        expect(splitCommandLine(text)).toEqual(shown.split('\0').slice(0, -1))
      }),
      { numRuns: 150 },
    )
  })
})

describe('a program', () => {
  test.skipIf(!requireTool('tcpdump'))('tcpdump: every frame as the reader of files gives it', async () => {
    const path = capture()
    const source = await program(['tcpdump', '-r', path, '-w', '-'])
    expect(source.fd).toBe(-1)
    const frames = await drain(source)
    const { records } = await readAll(path)
    expect(frames.map(({ bytes }) => digest(bytes))).toEqual(records.map(({ captured }) => digest(captured)))
    expect(source.problem).toBeNull()
    expect(source.linkType).toBe(1)
    expect(source.interfaces).toHaveLength(1)
  })

  test.each([50, 1000, 70_000, 1 << 23])('a spool of %i bytes changes nothing', async (bufferBytes) => {
    const path = folder.write('many.pcap', many(5000))
    const source = await program(['cat', path], { bufferBytes })
    const frames = await drain(source)
    const { records } = await readAll(path)
    expect(frames.map(({ bytes }) => digest(bytes))).toEqual(records.map(({ captured }) => digest(captured)))
  })

  test('frames of 1 MB among small ones', async () => {
    const sizes = Array.from({ length: 40 }, (_, i) => (i % 7 === 3 ? 1_000_000 + i : 60 + i))
    const records = sizes.map((size, i) => ({ seconds: 5, fraction: i, bytes: frame(size, i) }))
    const path = folder.write('large.pcap', pcap(records, { snapLen: 2_000_000 }))
    const frames = await drain(await program(['cat', path], { bufferBytes: 300_000 }))
    expect(frames.map(({ bytes }) => digest(bytes))).toEqual(records.map(({ bytes }) => digest(bytes)))
  })

  test('pcapng with several interfaces, drops and names', async () => {
    const ng = new Blocks()
    const bytes = join(
      ng.section(),
      ng.interface([ng.option(2, 'eth0')], 1, 200),
      ng.interface([ng.option(2, 'any')], 276),
      ng.packet(1, 5_000_000n, frame(60, 1)),
      ng.packet(0, 6_000_000n, frame(60, 2)),
      ng.statistics(0, ng.option(5, ng.fields([8, 7n]))),
    )
    const names = new Map<string, string>()
    const source = await program(['cat', folder.write('two.pcapng', bytes)], { names })
    const { interfaces } = source
    const frames = await drain(source)
    expect(frames.map(({ interfaceIndex, linkType }) => [interfaceIndex, linkType])).toEqual([
      [1, 276],
      [0, 1],
    ])
    expect(source.interfaces).toBe(interfaces)
    expect(interfaces.map(({ name }) => name)).toEqual(['eth0', 'any'])
    expect(source.drops()).toBe(7)
    expect(source.snapLenBytes).toBe(200)
  })

  test('one that writes nothing yet is open at once; its header comes alone, and then a frame in two pieces', async () => {
    const bytes = many(1, 60)
    const path = script(
      'slow.mjs',
      `import { setTimeout as sleep } from 'node:timers/promises'
       const bytes = Buffer.from('${Buffer.from(bytes).toString('hex')}', 'hex')
       await sleep(1500)
       process.stdout.write(bytes.subarray(0, 24))
       await sleep(400)
       process.stdout.write(bytes.subarray(24, 50))
       await sleep(400)
       process.stdout.write(bytes.subarray(50))`,
    )
    const begin = Date.now()
    const source = await program([NODE, path])
    expect(Date.now() - begin).toBeLessThan(1500)
    expect([source.linkType, source.advance(), source.ended]).toEqual([-1, false, false])
    const nowNs = 1e18
    expect(source.horizonNs(nowNs)).toBe(nowNs - 1.1e9)
    await waitFor(() => source.linkType === 1)
    expect(source.advance()).toBe(false)
    const [only] = await drain(source)
    expect(only.bytes).toEqual(frame(60))
    expect(source.problem).toBeNull()
    expect(source.horizonNs(nowNs)).toBe(Number.POSITIVE_INFINITY)
  })

  test('the horizon stays at the last frame while there are bytes to parse', async () => {
    const source = await program(['cat', folder.write('far.pcap', many(20_000))])
    let lastNs = Number.NEGATIVE_INFINITY
    let heldBack = 0
    await waitFor(() => source.linkType === 1)
    for (;;) {
      await sleep(0)
      const frames = takeAll(source)
      lastNs = frames.at(-1)?.timeNs ?? lastNs
      if (lastNs >= 19_999e9) break
      // These times are long past: the wall clock must not let the merge go on beyond what is still to come.
      const horizonNs = source.horizonNs(1e18)
      // A program that is slow for a moment leaves nothing to parse: then the clock counts.
      if (horizonNs === 1e18 - 1.1e9) continue
      expect(horizonNs).toBe(lastNs)
      heldBack++
    }
    expect(heldBack).toBeGreaterThan(0)
  })

  test('a lateness that shows is waited for', async () => {
    const epoch = new Epoch()
    epoch.seconds = Math.floor(Date.now() / 1000)
    const path = script(
      'late.mjs',
      `const header = Buffer.from('${Buffer.from(pcap([])).toString('hex')}', 'hex')
       process.stdout.write(header)
       const send = () => {
         const record = Buffer.alloc(76)
         const us = (Date.now() - 1800) * 1000
         record.writeUInt32LE(Math.floor(us / 1e6), 0)
         record.writeUInt32LE(us % 1e6, 4)
         record.writeUInt32LE(60, 8)
         record.writeUInt32LE(60, 12)
         process.stdout.write(record)
       }
       setTimeout(send, 200)
       setTimeout(send, 500)`,
    )
    const source = await program([NODE, path], {}, epoch)
    await drain(source, (frames) => frames.length === 1)
    const late = 1e18 - source.horizonNs(1e18)
    expect(late).toBeGreaterThan(1.79e9)
    expect(late).toBeLessThan(2.5e9)
  })

  test('back pressure: a fast writer waits, in bounded memory, and says so', async () => {
    const path = script(
      'endless.mjs',
      `process.stdout.write(Buffer.from('${Buffer.from(pcap([])).toString('hex')}', 'hex'))
       const block = Buffer.alloc(76 * 1000)
       for (let i = 0; i < 1000; i++) { block.writeUInt32LE(60, i * 76 + 8); block.writeUInt32LE(60, i * 76 + 12) }
       const more = () => { while (process.stdout.write(block)) {} }
       process.stdout.on('drain', more)
       more()`,
    )
    const source = await program([NODE, path], { bufferBytes: 1 << 20 })
    let woken = 0
    source.onReady = () => woken++
    await waitFor(() => source.isPressed)
    expect(woken).toBeGreaterThan(1)
    const before = process.memoryUsage().arrayBuffers
    await sleep(300)
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1 << 20)
    await drain(source, (frames) => frames.length > 0)
    source.stop()
    const begin = Date.now()
    await drain(source)
    expect(Date.now() - begin).toBeLessThan(1500)
    expect(source.problem).toBeNull()
  })

  test('told to stop, it writes what it still holds', async () => {
    const path = script(
      'polite.mjs',
      `const bytes = Buffer.from('${Buffer.from(many(3, 60)).toString('hex')}', 'hex')
       process.on('SIGTERM', () => process.stdout.write(bytes.subarray(24 + 76), () => process.exit(0)))
       process.stdout.write(bytes.subarray(0, 24 + 76))
       setInterval(() => {}, 1000)`,
    )
    const source = await program([NODE, path])
    const frames = await drain(source, ({ length }) => length === 1)
    source.stop()
    frames.push(...(await drain(source)))
    expect(frames).toHaveLength(3)
    expect(source.problem).toBeNull()
  })

  test('one that ignores SIGTERM is killed after 2 s, with what it has started', async () => {
    const child = script(
      'child.mjs',
      "process.on('SIGTERM', () => {}); process.on('SIGINT', () => {}); setInterval(() => {}, 1000)",
    )
    const pids = folder.path('pids')
    const path = script(
      'stubborn.mjs',
      `import { spawn } from 'node:child_process'
       import { writeFileSync } from 'node:fs'
       process.on('SIGTERM', () => {})
       const child = spawn(process.execPath, [${JSON.stringify(child)}], { stdio: 'inherit' })
       setTimeout(() => writeFileSync(${JSON.stringify(pids)}, process.pid + ' ' + child.pid), 300)
       setInterval(() => {}, 1000)`,
    )
    const source = await program([NODE, path])
    await waitFor(() => existsSync(pids))
    const running = readFileSync(pids, 'utf8').split(' ').map(Number)
    expect(running.map(isRunning)).toEqual([true, true])
    const begin = Date.now()
    source.stop()
    await drain(source)
    expect(Date.now() - begin).toBeGreaterThan(1900)
    expect(Date.now() - begin).toBeLessThan(10_000)
    await waitFor(() => !running.some(isRunning))
    expect(source.problem).toBeNull()
  })

  test('none is left when we end, whatever the way', async () => {
    const pid = folder.path('pid')
    const child = script(
      'lasting.mjs',
      `import { writeFileSync } from 'node:fs'
       process.on('SIGTERM', () => {})
       writeFileSync(${JSON.stringify(pid)}, String(process.pid))
       setInterval(() => {}, 1000)`,
    )
    const own = script(
      'own.ts',
      `import { existsSync } from 'node:fs'
       const { StreamedCapture } = await import(${JSON.stringify(`${import.meta.dirname}/../../../dist/capture/live/program-source.js`)})
       await StreamedCapture.openProgram([process.execPath, ${JSON.stringify(child)}], 'x', { seconds: 0 })
       setInterval(() => { if (existsSync(${JSON.stringify(pid)})) throw new Error('a bug') }, 20)`,
    )
    writeFileSync(folder.path('own.mjs'), readFileSync(own))
    expect(() => execFileSync(NODE, [folder.path('own.mjs')], { stdio: 'pipe' })).toThrow('a bug')
    const number = Number(readFileSync(pid, 'utf8'))
    await waitFor(() => !isRunning(number))
  })
})

describe('programs that fail', () => {
  test.each([
    [['no-such-program-here'], 'no-such-program-here: no such program: install it'],
    [['/etc/passwd'], '/etc/passwd: may not be run (permission denied)'],
  ])('%j does not open', async (words, message) => {
    await expect(program(words)).rejects.toThrow(message)
    await expect(program(words)).rejects.toMatchObject({ name: 'HoptraceError', exitCode: 2 })
  })

  test('no words', async () => {
    await expect(StreamedCapture.openProgram([], 'exec:', new Epoch())).rejects.toThrow('names no program')
  })

  const header = Buffer.from(pcap([])).toString('hex')
  const half = Buffer.from(many(2, 60))
    .subarray(0, 24 + 76 + 30)
    .toString('hex')
  const out = (hex: string) => `process.stdout.write(Buffer.from('${hex}', 'hex'));`
  const err = (text: string) => `process.stderr.write(${JSON.stringify(text)});`
  test.each<[string, string, string | null]>([
    ['nothing, exit 0', '', 'x: ended without a capture'],
    ['only a header, exit 0', out(header), null],
    ['a word on stderr', err('Permission denied\n'), 'x: ended without a capture: Permission denied'],
    [
      'exit code and hostile last line',
      `${err('first\nroot@h: Permission \u001b[31mdenied\u202e (publickey).\r\n\n')} process.exitCode = 255`,
      'x: ended with exit code 255: root@h: Permission \\x1B[31mdenied\\u{202E} (publickey).',
    ],
    ['exit code without a word', 'process.exitCode = 3', 'x: ended without a capture'],
    ['exit code behind a header', `${out(header)} process.exitCode = 3`, 'x: ended with exit code 3'],
    ['killed', `${out(header)} process.kill(process.pid, 'SIGKILL')`, 'x: ended with signal SIGKILL'],
    ['Ctrl-C', `${out(header)} process.kill(process.pid, 'SIGINT'); setInterval(() => {}, 99)`, null],
    [
      'text instead of a capture',
      // It is ended as soon as its output is seen to be no capture: what it has to say comes before that.
      `${err('bye')} setTimeout(() => process.stdout.write('Permission denied\\u001b[2J'), 100)`,
      'x: writes no capture: its output begins with "Permission denied.[2J" (expected pcap or pcapng): bye',
    ],
    [
      'cut in a record',
      out(half),
      'x: cut in the middle of record 2, which begins at byte 100: the record before it was read',
    ],
    [
      'cut, and an exit code',
      `${out(half)} ${err('connection lost')} process.exitCode = 1`,
      'x: ended with exit code 1: connection lost',
    ],
    [
      'damaged inside, goes on for ever',
      `${out(`${header}0000000000000000ffffff7fffffff7f`)} setInterval(() => process.stdout.write('more'), 5)`,
      'x: damaged: record 1 claims 2147483647 bytes, at byte 24: no record before it',
    ],
  ])('%s', async (name, text, problem) => {
    const path = script(`${name.replaceAll(/\W/g, '-')}.mjs`, text)
    const source = await StreamedCapture.openProgram([NODE, path], 'x', new Epoch())
    opened.push(source)
    const begin = Date.now()
    await drain(source)
    expect(Date.now() - begin).toBeLessThan(4000)
    expect(source.problem).toBe(problem)
    expect(source.advance()).toBe(false)
  })

  test('gigabytes of garbage: refused at once, in bounded memory', async () => {
    const before = process.memoryUsage()
    const source = await program(['yes', 'garbage'])
    await drain(source)
    expect(source.problem).toMatch(/^yes: writes no capture: its output begins with "garbage.garbage./)
    const { rss } = process.memoryUsage()
    expect(rss - before.rss).toBeLessThan(100 << 20)
  })

  test('gigabytes on stderr are not kept', async () => {
    const source = await program(['bash', '-c', 'exec head -c 1G /dev/zero >&2'])
    const before = process.memoryUsage().rss
    await drain(source)
    expect(process.memoryUsage().rss - before).toBeLessThan(100 << 20)
    expect(source.problem).toContain('bash: ended without a capture')
    expect(source.problem!.length).toBeLessThan(400)
  })

  test('output closed, but it stays: told to end', async () => {
    const source = await program(['bash', '-c', 'exec >&-; exec sleep 1000'])
    const begin = Date.now()
    await drain(source)
    expect(Date.now() - begin).toBeLessThan(2500)
    expect(source.problem).toBe('bash: ended without a capture')
  })
})

describe('a pipe', () => {
  const fifo = (name: string) => {
    execFileSync('mkfifo', [folder.path(name)])
    return folder.path(name)
  }

  test('its writer comes late', async () => {
    const path = fifo('late')
    const source = await pipe(path)
    await sleep(200)
    expect([source.advance(), source.ended]).toEqual([false, false])
    const writer = spawn('cp', [capture(), path])
    const frames = await drain(source)
    writer.unref()
    expect(frames).toHaveLength(46)
    expect(source.problem).toBeNull()
  })

  test('stopped without a writer, and with one that goes on', async () => {
    const source = await pipe(fifo('silent'))
    source.stop()
    expect(await drain(source)).toEqual([])
    expect(source.problem).toBeNull()

    const path = fifo('busy')
    const writer = spawn('bash', ['-c', `(cat ${capture()}; sleep 1000) > ${path}`], { detached: true })
    const busy = await pipe(path)
    const frames = await drain(busy, ({ length }) => length === 46)
    busy.stop()
    frames.push(...(await drain(busy)))
    expect(frames).toHaveLength(46)
    expect(busy.problem).toBeNull()
    process.kill(-writer.pid!)
  })

  test('what is no pipe, or is not there', async () => {
    await expect(pipe(capture())).rejects.toThrow('fifo: is no pipe: name a FIFO here')
    await expect(pipe(folder.path('missing'))).rejects.toThrow('fifo: no such file or directory')
  })

  test('garbage', async () => {
    const path = fifo('garbage')
    const source = await pipe(path)
    const writer = spawn('bash', ['-c', `exec yes > ${path}`])
    const gone = new Promise((resolve) => writer.once('exit', resolve))
    await drain(source)
    expect(source.problem).toMatch(/^fifo: writes no capture: its output begins with "y.y./)
    await gone
  })
})
