/**
 * Kernel drops: why the kernel dropped packets, as it says itself (tracepoint skb:kfree_skb). It is read through a tracing
 * instance of our own, which nobody else's tracing notices and which is removed at the end.
 */

import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { SystemCallError, systemCalls } from '../capture/live/system.ts'
import type { KernelDrops } from './model.ts'

/** Where tracefs mostly is; elsewhere we mount one that nobody sees. */
const PLACES = ['/sys/kernel/tracing', '/sys/kernel/debug/tracing']
const PREFIX = 'hoptrace-'
/** For each processor, in kB: some thousand drops between two looks. */
const BUFFER_KB = 512
const LOOK_EVERY_MS = 500
/** Of one look, in bytes: where more is dropped we don't count with. */
const MAX_LOOK_BYTES = 4 << 20
const MAX_GROUPS = 256
const MAX_TIMES = 64
/** IPv4, IPv6 and ARP: what a capture is about. */
const ETHER_TYPES = [0x0800, 0x86dd, 0x0806]
/** They say nothing, or that a capture (such as ours) could not keep up. */
const SILENT_REASONS = ['NOT_SPECIFIED', 'PACKET_SOCK_ERROR']
const LINE =
  /\s(\d+)\.(\d{6}): kfree_skb: .*?protocol=(\d+) location=(\S+?)(?:\+0x\S*)?(?: \[\w+\])? reason: (\w+)/

/** Counts drops by reason from text of the kernel's. */
export class DropCounts {
  /** Events that the kernel could not keep for us. */
  lost = 0
  readonly #groups = new Map<
    string,
    { drops: Omit<KernelDrops, 'packets' | 'timesNs'>; packets: number; timesNs: string[] }
  >()

  /** A line of `trace_pipe`, with `trace_clock` mono; others are passed over. */
  take(line: string, realtimeOffsetNs: bigint): void {
    const lost = /\[LOST (\d+) EVENTS\]/.exec(line)
    if (lost) this.lost += Number(lost[1])
    const match = LINE.exec(line)
    if (match === null) return
    const [, seconds = '', micros = '', protocol = '', where = '', reason = ''] = match
    if (SILENT_REASONS.includes(reason)) return
    const key = `${reason} ${where} ${protocol}`
    let group = this.#groups.get(key)
    if (group === undefined) {
      if (this.#groups.size >= MAX_GROUPS) return
      // Older kernels give a number that means nothing to anybody.
      const location = /^(0x)?[0-9a-f]{8,}$/.test(where) ? '' : where
      group = { drops: { reason, location, etherType: Number(protocol) }, packets: 0, timesNs: [] }
      this.#groups.set(key, group)
    }
    group.packets++
    if (group.timesNs.length < MAX_TIMES)
      group.timesNs.push(String(BigInt(seconds) * 1_000_000_000n + BigInt(micros) * 1000n + realtimeOffsetNs))
  }

  list(): KernelDrops[] {
    return [...this.#groups.values()]
      .map(({ drops, packets, timesNs }) => ({ ...drops, packets, timesNs }))
      .sort((a, b) => b.packets - a.packets)
  }
}

export class KernelDropReader {
  /** Since the last `restart()`, as far as it was looked. */
  counts = new DropCounts()
  readonly #path: string
  readonly #mount: number
  readonly #pipe: number
  readonly #timer: NodeJS.Timeout
  readonly #buffer = Buffer.alloc(1 << 16)
  #rest = ''

  /** Begins to count; where that can't be done, why. */
  static begin(): KernelDropReader | string {
    let mount = -1
    try {
      let root = PLACES.find((path) => existsSync(join(path, 'instances')))
      if (root === undefined) {
        mount = systemCalls().mountUnseen('tracefs')
        root = `/proc/self/fd/${mount}`
      }
      removeLeftovers(join(root, 'instances'))
      return new KernelDropReader(join(root, 'instances', `${PREFIX}${process.pid}`), mount)
    } catch (error) {
      if (mount >= 0) closeSync(mount)
      return reasonOf(error)
    }
  }

  private constructor(path: string, mount: number) {
    this.#path = path
    this.#mount = mount
    mkdirSync(path)
    try {
      const format = readFileSync(join(path, 'events/skb/kfree_skb/format'), 'utf8')
      if (!format.includes('NOT_SPECIFIED'))
        throw new Error('this kernel tells no reasons (before Linux 5.17)')
      // As long as it is open, nobody can remove the instance.
      this.#pipe = openSync(join(path, 'trace_pipe'), constants.O_RDONLY | constants.O_NONBLOCK)
      writeFileSync(join(path, 'buffer_size_kb'), String(BUFFER_KB))
      writeFileSync(join(path, 'trace_clock'), 'mono')
      writeFileSync(join(path, 'events/skb/kfree_skb/filter'), filterFor(format))
      writeFileSync(join(path, 'events/skb/kfree_skb/enable'), '1')
    } catch (error) {
      this.#remove()
      throw error
    }
    this.#timer = setInterval(() => this.look(), LOOK_EVERY_MS)
    this.#timer.unref()
  }

  /** Counts from now on: to begin takes the kernel a tenth of a second, which is better spent before. */
  restart(): void {
    this.look()
    this.counts = new DropCounts()
  }

  /** Leaves nothing behind. */
  close(): void {
    clearInterval(this.#timer)
    this.#remove()
    if (this.#mount >= 0) closeSync(this.#mount)
  }

  /** Counts what was dropped up to now. */
  look(): void {
    const offsetNs = systemCalls().realtimeOffsetNs()
    for (let left = MAX_LOOK_BYTES; left > 0; ) {
      const count = readWhatIsThere(this.#pipe, this.#buffer)
      if (count === 0) return
      left -= count
      const lines = (this.#rest + this.#buffer.toString('latin1', 0, count)).split('\n')
      this.#rest = lines.pop()!.slice(-1000)
      for (const line of lines) this.counts.take(line, offsetNs)
    }
  }

  #remove(): void {
    if (this.#pipe !== undefined) closeSync(this.#pipe)
    try {
      rmdirSync(this.#path)
    } catch {
      // Then the next run does it.
    }
  }
}

/** Instances of runs that were killed. One that is in use can't be removed, even where its process can't be seen from here. */
function removeLeftovers(instances: string): void {
  for (const name of readdirSync(instances)) {
    const pid = /^hoptrace-(\d+)$/.exec(name)?.[1]
    if (pid === undefined || (existsSync(`/proc/${pid}`) && Number(pid) !== process.pid)) continue
    try {
      rmdirSync(join(instances, name))
    } catch {
      // It is somebody's.
    }
  }
}

/** `reason != 2 && …`: the numbers of reasons are another kernel's others. */
function filterFor(format: string): string {
  const protocols = ETHER_TYPES.map((type) => `protocol == ${type}`).join(' || ')
  const reasons = SILENT_REASONS.flatMap((name) => {
    const value = new RegExp(`\\{ (\\w+), "${name}" \\}`).exec(format)?.[1]
    return value === undefined || !/^\d+$/.test(value) ? [] : `reason != ${value}`
  })
  return [`(${protocols})`, ...reasons].join(' && ')
}

function readWhatIsThere(fd: number, into: Buffer): number {
  try {
    return readSync(fd, into)
  } catch {
    // EAGAIN; or somebody has taken tracing away altogether.
    return 0
  }
}

function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException
  if (code === 'EPERM' || code === 'EACCES')
    return 'not permitted: it takes root, and a kernel that is not locked down'
  if (error instanceof SystemCallError || code !== undefined) return `tracefs can't be used here (${code})`
  return message
}
