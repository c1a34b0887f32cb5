/** The cap source: live frames through the npm package `cap`, for systems without AF_PACKET and for who asks for it. */

import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { HoptraceError } from '../../errors.ts'
import { displayText } from '../display-text.ts'
import type { CaptureRecord, Epoch } from '../record.ts'
import type { CapProgramOptions } from './cap-program.ts'
import type { Enter } from './child-program.ts'
import { StreamedCapture } from './program-source.ts'
import type { LiveSource } from './source.ts'

/**
 * Frames get their time when they arrive, so they are late only by the way to us, which is long on a busy machine. In
 * ns.
 */
const LATENESS_NS = 100e6

export interface CapOptions {
  epoch: Epoch
  /** Bytes kept of a frame at most, 0 for all. */
  snapLenBytes: number
  bpf: string | undefined
  /** Memory for frames that were not read yet, here and (64 MiB at least) in libpcap, in bytes. */
  bufferBytes: number
  /** Runs what it is given inside the network namespace of the interface. */
  enter: Enter
}

/**
 * Captures an interface with `cap`, promiscuously, in a process of its own; resolves when it is open. Rejects with a
 * `HoptraceError`: package or interface missing, filter refused (exit code 2), not permitted (3).
 *
 * `cap` hands over neither times nor original lengths nor drops nor directions: a frame's time is that of its arrival
 * in that process, `drops()` is null, `flags` are 0, and the original length of a frame that was cut is what its IP header
 * claims.
 */
export async function openCap(interfaceName: string, options: CapOptions): Promise<LiveSource> {
  const { epoch, snapLenBytes, bpf = '', bufferBytes, enter } = options
  const shown = displayText(interfaceName)
  requireCap()
  const program = fileURLToPath(new URL('./cap-program.js', import.meta.url))
  const passed: CapProgramOptions = { interfaceName, snapLenBytes, bpf, bufferBytes }
  const words = [process.execPath, program, JSON.stringify(passed)]
  const stream = await StreamedCapture.openProgram(words, shown, epoch, {
    bufferBytes,
    enter,
    latenessNs: LATENESS_NS,
  })
  await stream.opened
  if (stream.interfaces.length > 0) return new CapCapture(stream, shown)
  const { exit = null, lastLine = '' } = stream.program ?? {}
  stream.close()
  if (exit?.code === 2 || exit?.code === 3) throw new HoptraceError(lastLine, exit.code)
  throw new HoptraceError(stream.problem ?? `${shown}: can't be captured with cap`)
}

function requireCap(): void {
  try {
    createRequire(import.meta.url).resolve('cap')
  } catch {
    throw new HoptraceError(
      '--backend cap needs the package cap, and it is not installed: npm install cap, which needs libpcap-dev, or leave --backend out',
    )
  }
}

/** One interface, whose link type is known from the start. */
class CapCapture implements LiveSource {
  readonly fd = -1
  readonly record: CaptureRecord
  readonly linkType: number
  readonly snapLenBytes: number
  readonly #stream: StreamedCapture
  readonly #name: string

  constructor(stream: StreamedCapture, name: string) {
    this.#stream = stream
    this.#name = name
    this.record = stream.record
    this.linkType = stream.linkType
    this.snapLenBytes = stream.snapLenBytes
  }

  get onReady(): () => void {
    return this.#stream.onReady
  }

  set onReady(onReady: () => void) {
    this.#stream.onReady = onReady
  }

  advance(): boolean {
    return this.#stream.advance()
  }

  horizonNs(nowNs: number): number {
    return this.#stream.horizonNs(nowNs)
  }

  get isFilling(): boolean {
    return this.#stream.isFilling
  }

  get isPressed(): boolean {
    return this.#stream.isPressed
  }

  drops(): number | null {
    return this.#stream.drops()
  }

  get ended(): boolean {
    return this.#stream.ended
  }

  get problem(): string | null {
    const { problem, program } = this.#stream
    // An assertion of cap's own, whenever its socket reports an error.
    if (program?.exit?.signal === 'SIGABRT' && problem !== null)
      return `${this.#name}: the interface went down or away, which cap does not survive`
    return problem
  }

  stop(): void {
    this.#stream.stop()
  }

  close(): void {
    this.#stream.close()
  }
}
