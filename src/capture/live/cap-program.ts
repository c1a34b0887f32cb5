/**
 * The cap program: captures one interface with the npm package `cap` and writes pcap to its standard output. It is a
 * process of its own since `cap` aborts its process where the interface goes down.
 */

import { writeSync } from 'node:fs'
import { createRequire } from 'node:module'
import { LinkType } from '../link-types.ts'
import { becomeUser, sudoUser } from './invoking-user.ts'
import { originalLength } from './original-length.ts'

export interface CapProgramOptions {
  interfaceName: string
  /** Bytes kept of a frame at most, 0 for all. */
  snapLenBytes: number
  bpf: string
  /** Memory of libpcap's for frames that were not read yet, in bytes; 64 MiB at least are taken. */
  bufferBytes: number
}

/** Frames that `cap` cuts itself. */
const MAX_FRAME_BYTES = 65_535
const NANOSECOND_MAGIC = 0xa1b23c4d
const RECORD_HEADER_BYTES = 16
/**
 * In the immediate mode that `cap` sets, libpcap gives each frame, however small, room for the largest: 64 MiB hold 1000
 * frames. With 8 MiB up to a third of 20,000 small frames in 0.4 s was lost, with 64 MiB none.
 */
const MIN_BUFFER_BYTES = 1 << 26
/** Written at once at most. */
const OUT_BYTES = 1 << 18
const LOOK_AFTER_MS = 1000
/** A clock that is off by more was set; less is the resolution of looking. */
const CLOCK_SET_MS = 20

/** The names that `cap` has for DLT_ values; it says `Unknown linktype <DLT>` for the others. */
const LINK_TYPES: Readonly<Record<string, number>> = {
  NULL: LinkType.Null,
  ETHERNET: LinkType.Ethernet,
  LINKTYPE_LINUX_SLL: LinkType.LinuxSll,
  RAW: LinkType.Raw,
  IEEE802_11_RADIO: 127,
}

/** What is used of `cap`. */
interface Cap {
  open(device: string, filter: string, bufferBytes: number, into: Buffer): string
  on(event: 'packet', take: (lenBytes: number, isTruncated: boolean) => void): void
  setMinBytes?(count: number): void
}

const options = JSON.parse(process.argv[2]) as CapProgramOptions
/** `cap` writes into it without holding on to it: it has to be referred to as long as the capture runs. */
const frame = Buffer.alloc(
  options.snapLenBytes > 0 ? Math.min(options.snapLenBytes, MAX_FRAME_BYTES) : MAX_FRAME_BYTES,
)
const out = Buffer.alloc(OUT_BYTES)
let filled = 0
/** performance.now() is monotonic; this makes it the time of day, in ms. */
let originMs = performance.timeOrigin

const cap = load()
const linkType = open()
const user = sudoUser()
if (user !== null) becomeUser(user)
writeHeader()
cap.on('packet', take)
watch()

function load(): Cap {
  try {
    const { Cap } = createRequire(import.meta.url)('cap') as { Cap: new () => Cap }
    return new Cap()
  } catch (error) {
    return fail(
      2,
      `--backend cap: the package cap can't be loaded (${(error as Error).message.split('\n')[0]}): npm install cap, which needs libpcap-dev`,
    )
  }
}

function open(): number {
  const { interfaceName, bpf, bufferBytes } = options
  try {
    const name = cap.open(interfaceName, bpf, Math.max(bufferBytes, MIN_BUFFER_BYTES), frame)
    cap.setMinBytes?.(0)
    const unknown = /^Unknown linktype (\d+)$/.exec(name)
    return LINK_TYPES[name] ?? (unknown === null ? LinkType.Ethernet : Number(unknown[1]))
  } catch (error) {
    const { message } = error as Error
    if (/not permitted|permission|CAP_NET/i.test(message))
      return fail(
        3,
        `${interfaceName}: may not be captured: run it as root (sudo hoptrace …), or with CAP_NET_RAW (${message})`,
      )
    if (/no such device/i.test(message))
      return fail(2, `${interfaceName}: no such interface: see hoptrace points`)
    return fail(2, `${interfaceName}: can't be captured with cap (${message})`)
  }
}

function fail(exitCode: 2 | 3, message: string): never {
  process.stderr.write(`\n${message.replaceAll('\n', ' ')}\n`)
  process.exit(exitCode)
}

function writeHeader(): void {
  out.writeUInt32LE(NANOSECOND_MAGIC, 0)
  out.writeUInt16LE(2, 4)
  out.writeUInt16LE(4, 6)
  out.writeUInt32LE(frame.length, 16)
  out.writeUInt32LE(linkType, 20)
  filled = 24
  flush()
}

/** Called by `cap` while it empties its buffer: our turn to write comes when it has. */
function take(lenBytes: number, isTruncated: boolean): void {
  if (filled + RECORD_HEADER_BYTES + lenBytes > OUT_BYTES) flush()
  if (filled === 0) setImmediate(flush)
  const timeMs = originMs + performance.now()
  const seconds = Math.floor(timeMs / 1000)
  out.writeUInt32LE(seconds, filled)
  out.writeUInt32LE(Math.floor((timeMs - seconds * 1000) * 1e6), filled + 4)
  out.writeUInt32LE(lenBytes, filled + 8)
  const isCut = isTruncated || lenBytes === MAX_FRAME_BYTES
  out.writeUInt32LE(isCut ? originalLength(frame, lenBytes, linkType) : lenBytes, filled + 12)
  frame.copy(out, filled + RECORD_HEADER_BYTES, 0, lenBytes)
  filled += RECORD_HEADER_BYTES + lenBytes
}

/** Waits where the reader is slow: then libpcap's buffer takes what comes, as far as it goes. */
function flush(): void {
  try {
    for (let at = 0; at < filled; ) at += writeSync(1, out, at, filled - at)
  } catch {
    // Nobody reads any more.
    process.exit(0)
  }
  filled = 0
}

function watch(): void {
  const parent = process.ppid
  setInterval(() => {
    if (process.ppid !== parent) process.exit(0)
    const offMs = Date.now() - (originMs + performance.now())
    if (Math.abs(offMs) > CLOCK_SET_MS) originMs += offMs
  }, LOOK_AFTER_MS)
  // Ctrl-C reaches this process too, but the one that started it says when to end.
  process.on('SIGINT', () => {})
  process.on('SIGTERM', () => {
    flush()
    process.exit(0)
  })
}
