/** Downloads from a live page: the frames that were kept so far as pcapng, and the HTML report about them. */

import { type ChildProcess, spawn } from 'node:child_process'
import { createReadStream, mkdtempSync, rmSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { constants as os, setPriority, tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type { UdpTunnel } from '../decode/udp-tunnels.ts'
import type { HtmlTask } from './html-program.ts'
import type { Refusal } from './session.ts'

/** Of all downloads together. */
const MAX_RUNNING = 4
const CHUNK_BYTES = 1 << 18
/** A report about a large capture takes its time; after so long it is given up, in ms. */
const REPORT_PATIENCE_MS = 300_000
/** What is reported about is copied first, and there may be memory where temporary files are. */
const MAX_REPORTED_BYTES = 1 << 30

const REPORT_FAILED: Refusal = {
  status: 500,
  text: 'The report could not be made: save the pcapng, and give it to hoptrace report.',
}
const TOO_LARGE: Refusal = {
  status: 507,
  text: `More than ${MAX_REPORTED_BYTES >> 20} MB are too much for a report beside the capture: save the pcapng, and give it to hoptrace report.`,
}

/** A file, and how much of it is whole. */
export interface KeptPart {
  readonly path: string
  readonly lenBytes: number
}

export interface DownloadOptions {
  /** Completes what was kept so far; the files, the oldest first. */
  parts(): KeptPart[]
  /** For names of files: letters, digits, dots and dashes. */
  name: string
  tunnelPorts?: ReadonlyMap<number, UdpTunnel> | undefined
  /** The `--filter`, as it was given. */
  filter?: string | undefined
}

export class Downloads {
  running = 0
  readonly #options: DownloadOptions
  #report: ChildProcess | null = null

  constructor(options: DownloadOptions) {
    this.#options = options
  }

  /** Each file is a section of its own, and so are several ones behind each other (pcapng, section 4.1). */
  sendCapture(response: ServerResponse): void {
    if (this.#isTooMuch(response)) return
    const parts = this.#options.parts()
    const lenBytes = parts.reduce((sum, part) => sum + part.lenBytes, 0)
    this.#begin(response, 'pcapng', 'application/x-pcapng', { 'Content-Length': lenBytes })
    const stream = Readable.from(bytesOf(parts), { objectMode: false, highWaterMark: CHUNK_BYTES })
    // A file of a series may be gone meanwhile: the browser sees that the length is not what was promised.
    stream.on('error', () => response.destroy())
    response.on('close', () => stream.destroy())
    stream.pipe(response)
  }

  /** A process of its own makes it: it takes all of a processor, and the capture goes first. */
  sendReport(response: ServerResponse): void {
    if (this.#isTooMuch(response)) return
    if (this.#report) {
      sendRefusal(response, { status: 429, text: 'A report is being made already: wait for that one.' })
      return
    }
    const { tunnelPorts, filter } = this.#options
    const parts = this.#options.parts()
    if (parts.reduce((sum, part) => sum + part.lenBytes, 0) > MAX_REPORTED_BYTES) {
      sendRefusal(response, TOO_LARGE)
      return
    }
    this.#makeReport(response, {
      parts,
      ...(tunnelPorts ? { tunnelPorts: [...tunnelPorts] } : {}),
      ...(filter === undefined ? {} : { filter }),
    })
  }

  close(): void {
    this.#report?.kill('SIGKILL')
  }

  #makeReport(response: ServerResponse, task: HtmlTask): void {
    let cwd: string
    try {
      cwd = mkdtempSync(join(tmpdir(), 'hoptrace-report-'))
    } catch {
      sendRefusal(response, REPORT_FAILED)
      return
    }
    const program = fileURLToPath(new URL('../../dist/serve/html-program.js', import.meta.url))
    const remove = () => removeFolder(cwd)
    process.on('exit', remove)
    // Without descriptors or memory it has neither an identifier nor pipes.
    const child: ChildProcess = spawn(process.execPath, [program], { cwd, stdio: ['pipe', 'pipe', 'ignore'] })
    this.#report = child
    lower(child)
    const timer = setTimeout(() => child.kill('SIGKILL'), REPORT_PATIENCE_MS)
    let hasEnded = false
    const end = (code: number | null) => {
      if (hasEnded) return
      hasEnded = true
      clearTimeout(timer)
      remove()
      process.off('exit', remove)
      this.#report = null
      if (code === 0) response.end()
      else if (response.headersSent) response.destroy()
      else sendRefusal(response, REPORT_FAILED)
    }
    child.on('error', () => {
      if (child.pid === undefined) end(null)
    })
    child.on('close', end)
    child.stdin?.on('error', () => {})
    child.stdin?.end(JSON.stringify(task))
    child.stdout?.once('data', (first: Buffer) => {
      this.#begin(response, 'html', 'text/html; charset=utf-8')
      response.write(first)
      child.stdout!.pipe(response, { end: false })
    })
    response.on('close', () => child.kill('SIGKILL'))
  }

  #isTooMuch(response: ServerResponse): boolean {
    if (this.running < MAX_RUNNING) return false
    sendRefusal(response, { status: 429, text: 'Too much is being saved at once: wait for that.' })
    return true
  }

  #begin(response: ServerResponse, ending: string, type: string, more: Record<string, number> = {}): void {
    this.running++
    response.on('close', () => this.running--)
    response.writeHead(200, {
      'Content-Type': type,
      'Content-Disposition': `attachment; filename="${this.#options.name}-${timeStamp()}.${ending}"`,
      ...more,
    })
  }
}

/** Answers with one sentence, and ends the connection: whoever sent it may send anything next. */
export function sendRefusal(response: ServerResponse, { status, text }: Refusal): void {
  const body = `<!doctype html><html lang="en"><meta charset="utf-8"><title>hoptrace</title><p>${text}</p></html>\n`
  response.writeHead(status, { 'Content-Type': 'text/html; charset=utf-8', Connection: 'close' }).end(body)
}

/** No more than was whole when it was asked for: the files grow. */
async function* bytesOf(parts: readonly KeptPart[]): AsyncGenerator<Buffer> {
  for (const { path, lenBytes } of parts)
    if (lenBytes > 0) yield* createReadStream(path, { end: lenBytes - 1, highWaterMark: CHUNK_BYTES })
}

/** Without descriptors that can't be done: then it is left to the system. */
function removeFolder(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true })
  } catch {}
}

function lower({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) setPriority(pid, os.priority.PRIORITY_LOW)
  } catch {
    // Then not.
  }
}

/** `20260131-235959`, local time. */
function timeStamp(): string {
  const now = new Date()
  const two = (value: number) => String(value).padStart(2, '0')
  const day = `${now.getFullYear()}${two(now.getMonth() + 1)}${two(now.getDate())}`
  return `${day}-${two(now.getHours())}${two(now.getMinutes())}${two(now.getSeconds())}`
}
