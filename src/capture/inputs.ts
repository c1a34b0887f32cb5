/** Inputs: from what the user typed (`FILE`, `NAME=FILE`, `DIR`, `-`) to the captures to read, each once. */

import { accessSync, constants, existsSync, fstatSync, type Stats, statSync } from 'node:fs'
import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { isatty } from 'node:tty'
import { gunzipSync, constants as zlibConstants } from 'node:zlib'
import { HoptraceError } from '../errors.ts'
import { descriptorOf } from './byte-source.ts'
import { isGzip, isZstd } from './decompression.ts'
import { displayText } from './display-text.ts'
import { isPcapMagic } from './pcap.ts'
import { isPcapngMagic } from './pcapng.ts'
import type { PipeHead } from './pipe-head.ts'

/** One capture to read. */
export interface CaptureInput {
  /** What to open: a path, `/dev/fd/N`, or `-`. */
  readonly path: string
  /** The same as the user named it, fit to be shown. */
  readonly source: string
  /** The name of `NAME=FILE`, or null. */
  readonly name: string | null
  /** The files of a series in their order, where it is one; `path` is the first. */
  readonly parts?: readonly string[]
  /** What can be read only once, where its beginning has been looked into. */
  readonly opened?: PipeHead
}

/** A capture that could not be read although it was asked for. */
export interface InputFailure {
  readonly source: string
  /** One line: what, where, what to do. */
  readonly message: string
}

export interface ResolvedInputs {
  readonly inputs: CaptureInput[]
  /** What was left out and why, one line each. */
  readonly warnings: string[]
  /** Inputs that were named and cannot be read, while others can. */
  readonly failures: InputFailure[]
}

/** File names that promise a capture. */
const CAPTURE_NAME = /\.(pcap|pcapng|cap)(\.(gz|zst))?$/i
/** Enough for the magic of a capture inside gzip, whose own header may carry a file name. */
const SNIFF_BYTES = 1024

/**
 * Finds the captures that `args` mean, in their order; a directory's by name. Rejects with a `HoptraceError` where
 * nothing at all is left to read: then its message is that of the first failure.
 */
export async function resolveInputs(args: readonly string[]): Promise<ResolvedInputs> {
  if (args.length === 0) {
    throw new HoptraceError(
      'no input: give capture files, a directory with captures, or - for standard input',
    )
  }
  const found = new InputList()
  for (const arg of args) {
    const { name, path } = splitName(arg)
    const source = displayText(path, 400)
    try {
      if (path === '')
        throw new HoptraceError(`"${displayText(arg)}" names no file: give FILE, NAME=FILE, a directory or -`)
      const stat = statInput(path, source)
      if (!stat.isDirectory()) found.add({ path, source, name }, stat)
      else if (name === null) await addDirectory(path, source, found)
      else
        throw new HoptraceError(
          `${source}: is a directory, and a point is one capture: give it without a name`,
        )
    } catch (error) {
      if (!(error instanceof HoptraceError)) throw error
      found.failures.push({ source, message: error.message })
    }
  }
  if (found.inputs.length === 0) {
    throw new HoptraceError(found.failures[0]?.message ?? found.warnings[0] ?? 'no input')
  }
  return found
}

/** One line for a system error about `source`. */
export function systemErrorText(source: string, error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code
  if (code === 'ENOENT') return `${source}: no such file or directory: check the path`
  if (code === 'EACCES' || code === 'EPERM')
    return `${source}: not readable (permission denied): run as its owner`
  if (code === 'EMFILE' || code === 'ENFILE') return `${source}: too many open files: raise \`ulimit -n\``
  if (code === 'EBADF') return `${source}: not open: redirect a capture into it`
  return `${source}: cannot be read (${displayText(code ?? String(error))})`
}

/** The captures so far, each file once whatever it is called. */
class InputList implements ResolvedInputs {
  readonly inputs: CaptureInput[] = []
  readonly warnings: string[] = []
  readonly failures: InputFailure[] = []
  private readonly seen = new Map<string, string>()

  add(input: CaptureInput, stat: Stats): void {
    const identity = `${stat.dev}:${stat.ino}`
    const earlier = this.seen.get(identity)
    if (earlier === undefined) {
      this.seen.set(identity, input.source)
      this.inputs.push(input)
    } else if (earlier === input.source) {
      this.warnings.push(`${input.source}: given twice: it is read once`)
    } else {
      this.warnings.push(`${input.source}: the same file as ${earlier}: it is read once`)
    }
  }
}

/** `NAME=FILE`, unless a file is called just that. Only a name without a slash is one: paths may hold `=`. */
function splitName(arg: string): { name: string | null; path: string } {
  const equals = arg.indexOf('=')
  if (equals <= 0 || arg.slice(0, equals).includes('/') || existsSync(arg)) {
    return { name: null, path: arg }
  }
  return { name: arg.slice(0, equals), path: arg.slice(equals + 1) }
}

function statInput(path: string, source: string): Stats {
  const fd = descriptorOf(path)
  if (fd >= 0 && isatty(fd)) {
    throw new HoptraceError(
      `${source}: is a terminal: pipe a capture in, as in \`tcpdump -w - | hoptrace analyze -\``,
    )
  }
  try {
    const stat = fd >= 0 ? fstatSync(fd) : statSync(path)
    if (fd < 0) accessSync(path, constants.R_OK)
    if (stat.isFile() && stat.size === 0) {
      throw new HoptraceError(`${source}: empty, not a capture file: was anything written to it?`)
    }
    return stat
  } catch (error) {
    if (error instanceof HoptraceError) throw error
    throw new HoptraceError(systemErrorText(source, error))
  }
}

async function addDirectory(path: string, source: string, found: InputList): Promise<void> {
  const before = found.inputs.length + found.warnings.length
  const names = await readdir(path).catch((error) => {
    throw new HoptraceError(systemErrorText(source, error))
  })
  for (const name of names.sort()) {
    const file = join(path, name)
    const shown = displayText(file, 400)
    try {
      const stat = statSync(file)
      // A FIFO cannot be looked into without eating from it.
      if (!stat.isFile()) continue
      if (await isCapture(file)) found.add({ path: file, source: shown, name: null }, stat)
      else if (CAPTURE_NAME.test(name)) {
        const what = stat.size === 0 ? 'empty' : 'named like a capture, but is none'
        found.warnings.push(`${shown}: ${what}: left out`)
      }
    } catch (error) {
      if (CAPTURE_NAME.test(name)) found.warnings.push(systemErrorText(shown, error))
    }
  }
  if (found.inputs.length + found.warnings.length === before) {
    const folders = names.filter((name) => isDirectory(join(path, name))).map((name) => displayText(name))
    const shown = folders.slice(0, 3).join(', ') + (folders.length > 3 ? ', …' : '')
    throw new HoptraceError(
      folders.length > 0
        ? `${source}: a directory without captures of its own: give a folder in it (${shown}), one path at a time`
        : `${source}: a directory without captures: give one with .pcap or .pcapng files in it`,
    )
  }
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch {
    return false
  }
}

/** Whether a regular file begins as a capture does, compressed or not. Rejects with the system's error. */
export async function isCapture(path: string): Promise<boolean> {
  const handle = await open(path, 'r')
  try {
    const { bytesRead, buffer } = await handle.read(new Uint8Array(SNIFF_BYTES), 0, SNIFF_BYTES, 0)
    let head: Uint8Array = buffer.subarray(0, bytesRead)
    // What is inside zstd only a newer Node can tell: its name has to do.
    if (isZstd(head)) return CAPTURE_NAME.test(path)
    if (isGzip(head)) head = gunzipSync(head, { finishFlush: zlibConstants.Z_SYNC_FLUSH })
    if (head.length < 4) return false
    const magic = new DataView(head.buffer, head.byteOffset).getUint32(0)
    return isPcapMagic(magic) || isPcapngMagic(magic)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code?.startsWith('Z_')) return false
    throw error
  } finally {
    await handle.close()
  }
}
