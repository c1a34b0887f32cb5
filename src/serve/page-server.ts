/**
 * The server of a live page, on 127.0.0.1 alone. Whatever browsers do, the capture does not wait for them: what they do
 * not take in they do not get.
 */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { HoptraceError } from '../errors.ts'
import { pageAssets } from '../page/assets.ts'
import { pageHead, pagePolicy, pageTail } from '../page/markup.ts'
import { LivePath } from '../report/page-live.ts'
import { type Downloads, sendRefusal } from './downloads.ts'
import { EventStream, type Feeds } from './event-stream.ts'
import { PageSession } from './session.ts'

/** Pages that are told at the same time, and connections of any kind. */
const MAX_PAGES = 8
const MAX_CONNECTIONS = 64
const MAX_HEADER_BYTES = 8192
/** A request has to be here after so long, in ms. */
const REQUEST_PATIENCE_MS = 5000
const LOOK_EVERY_MS = 1000
/** At the end pages get so long to take in what is left, and downloads to get through, in ms. */
const END_PATIENCE_MS = 2000
const DOWNLOAD_PATIENCE_MS = 10_000

/** No other page may read, embed or hold on to anything from here. */
const HEADERS: Readonly<Record<string, string>> = {
  'Cache-Control': 'no-store',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'; sandbox",
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
}

export interface Served {
  readonly feeds: Feeds
  readonly downloads: Downloads
  /** The page wants the capture to end. */
  onStop(): void
}

export class PageServer {
  readonly #server: Server
  readonly #session: PageSession
  readonly #streams = new Set<EventStream>()
  /** Connections on which something is being answered. */
  readonly #answering = new WeakSet<Socket>()
  #served: Served | null = null
  readonly #html: { text: string; policy: string }
  #isEnding = false

  /** Listens at once, and answers when `serve` says with what. `port` 0: any. Rejects with a `HoptraceError`. */
  static async listen(port: number, title: string): Promise<PageServer> {
    const html = livePage(title)
    const server = createServer({
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: REQUEST_PATIENCE_MS,
      requestTimeout: REQUEST_PATIENCE_MS,
      connectionsCheckingInterval: LOOK_EVERY_MS,
      keepAliveTimeout: REQUEST_PATIENCE_MS,
    })
    server.maxConnections = MAX_CONNECTIONS
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) => reject(cannotListen(port, error)))
      server.listen({ host: '127.0.0.1', port }, resolve)
    })
    return new PageServer(server, html)
  }

  private constructor(server: Server, html: { text: string; policy: string }) {
    this.#server = server
    this.#html = html
    this.#session = new PageSession((server.address() as AddressInfo).port)
    server.on('error', () => {})
    server.on('request', (request, response) => {
      if (this.#isPipelined(request, response)) {
        request.socket.destroy()
        return
      }
      try {
        this.#answer(request, response)
      } catch {
        // Whatever it was: the capture goes on.
        if (response.headersSent) response.destroy()
        else sendRefusal(response, { status: 500, text: 'This went wrong: the capture goes on.' })
      }
    })
    // A request to switch to another protocol, or to pass one on, is none of ours.
    for (const name of ['upgrade', 'connect'] as const)
      server.on(name, (_request: IncomingMessage, socket: Socket) => socket.destroy())
    server.on('clientError', (_error, socket) => {
      if (socket.writable) socket.write('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n')
      socket.destroy()
    })
  }

  /** What the user is to open: it opens once. */
  get address(): string {
    return this.#session.address
  }

  get pages(): number {
    return this.#streams.size
  }

  serve(served: Served): void {
    this.#served = served
  }

  /** There is something new. */
  pump(): void {
    for (const stream of this.#streams) stream.pump()
  }

  /** Pages are told that the capture has ended; resolves when all know, or take too long. */
  async end(): Promise<void> {
    this.#isEnding = true
    for (const stream of this.#streams) stream.end()
    const beginMs = performance.now()
    const isDone = () => {
      const tookMs = performance.now() - beginMs
      const isTold = this.#streams.size === 0 || tookMs > END_PATIENCE_MS
      return isTold && (this.#served?.downloads.running === 0 || tookMs > DOWNLOAD_PATIENCE_MS)
    }
    while (!isDone()) await new Promise((resolve) => setTimeout(resolve, 20))
  }

  close(): void {
    this.#served?.downloads.close()
    this.#server.close()
    this.#server.closeAllConnections()
  }

  /**
   * Requests behind one that is not answered yet: no browser sends any, and a thousand of them in one piece would keep the
   * capture waiting.
   */
  #isPipelined({ socket }: IncomingMessage, response: ServerResponse): boolean {
    if (socket.destroyed || this.#answering.has(socket)) return true
    this.#answering.add(socket)
    for (const event of ['finish', 'close']) response.once(event, () => this.#answering.delete(socket))
    return false
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    response.on('error', () => {})
    for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value)
    const { method, headers, url = '' } = request
    const [path, query = ''] = splitOnce(url, '?')
    const refusal = this.#session.refusalOf(method, headers)
    if (refusal) {
      sendRefusal(response, refusal)
      return
    }
    const stranger = this.#session.strangerRefusal(headers)
    const token = new URLSearchParams(query).get('token')
    const served = this.#isEnding ? null : this.#served
    if (method === 'GET' && path === LivePath.page && token !== null)
      this.#letIn(response, token, stranger !== null)
    else if (stranger) sendRefusal(response, stranger)
    else if (served === null)
      sendRefusal(response, { status: 503, text: 'The capture begins or ends just now: try again.' })
    else this.#route(`${method} ${path}`, { request, response, served })
  }

  /** Exchanges the token for a cookie, so that the address in the browser has none. */
  #letIn(response: ServerResponse, token: string, isStranger: boolean): void {
    // Whoever opens the address again in the same browser is in already.
    const refusal = isStranger ? this.#session.takeToken(token) : null
    if (refusal) {
      sendRefusal(response, refusal)
      return
    }
    if (isStranger) response.setHeader('Set-Cookie', this.#session.cookie)
    response.writeHead(303, { Location: LivePath.page }).end()
  }

  #route(
    asked: string,
    { request, response, served }: { request: IncomingMessage; response: ServerResponse; served: Served },
  ): void {
    switch (asked) {
      case `GET ${LivePath.page}`:
        response.setHeader('Content-Security-Policy', this.#html.policy)
        response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8' }).end(this.#html.text)
        return
      case `GET ${LivePath.events}`:
        this.#openStream(request, response, served.feeds)
        return
      case `GET ${LivePath.capture}`:
        served.downloads.sendCapture(response)
        return
      case `GET ${LivePath.report}`:
        served.downloads.sendReport(response)
        return
      case `POST ${LivePath.stop}`:
        response.writeHead(204, { Connection: 'close' }).end()
        served.onStop()
        return
      default:
        sendRefusal(response, { status: 404, text: 'There is nothing here.' })
    }
  }

  #openStream({ headers }: IncomingMessage, response: ServerResponse, feeds: Feeds): void {
    if (this.#streams.size >= MAX_PAGES) {
      sendRefusal(response, { status: 503, text: `${MAX_PAGES} pages are open already: close one of them.` })
      return
    }
    response.writeHead(200, { 'Content-Type': 'text/event-stream; charset=utf-8' })
    const last = headers['last-event-id']
    const isNumber = typeof last === 'string' && /^\d{1,15}$/.test(last)
    const stream = new EventStream(response, feeds, isNumber ? Number(last) : null)
    this.#streams.add(stream)
    response.on('close', () => this.#streams.delete(stream))
    stream.pump()
  }
}

function livePage(title: string): { text: string; policy: string } {
  const assets = pageAssets()
  return {
    text: pageHead(assets, title, LivePath.events) + pageTail(),
    policy: `${pagePolicy(assets, true)}; frame-ancestors 'none'`,
  }
}

function splitOnce(text: string, separator: string): [string, string?] {
  const at = text.indexOf(separator)
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)]
}

function cannotListen(port: number, { code }: NodeJS.ErrnoException): HoptraceError {
  const why =
    code === 'EADDRINUSE' ? 'another program has it' : code === 'EACCES' ? 'it is not permitted' : code
  return new HoptraceError(
    `--web ${port}: this port can't be served (${why}): give another one, or --web alone for any that is free`,
  )
}
