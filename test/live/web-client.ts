/** A client of `capture --web` that is no browser: it sends what it is told to, and nothing else. */

import { once } from 'node:events'
import { type IncomingHttpHeaders, request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { onTestFinished } from 'vitest'
import type { LiveEvents } from '../../src/report/page-live.ts'
import type { Running } from './capturing.ts'

export interface Answer {
  status: number
  headers: IncomingHttpHeaders
  body: Buffer
}

/** Where the program says that its page is. */
export async function addressOf(running: Running): Promise<{ address: string; port: number; token: string }> {
  await running.untilSaid(/http:\S+\?token=\S+/)
  const [, address, port, token] = /(http:\/\/127\.0\.0\.1:(\d+)\/\?token=(\S+))/.exec(running.stderr)!
  return { address, port: Number(port), token }
}

/** One request, over a connection of its own. */
export function ask(
  port: number,
  path: string,
  headers: Record<string, string> = {},
  method = 'GET',
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port, path, method, headers, agent: false }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () =>
        resolve({
          status: response.statusCode!,
          headers: response.headers,
          body: Buffer.concat(chunks),
        }),
      )
    })
    asked.on('error', reject)
    asked.end()
  })
}

/** Exchanges the token for the cookie, as a browser does. */
export async function letIn(running: Running): Promise<{ port: number; cookie: string }> {
  const { port, token } = await addressOf(running)
  const { headers } = await ask(port, `/?token=${token}`)
  return { port, cookie: headers['set-cookie']![0]!.split(';')[0]! }
}

/** The events of a page that reads all of them. */
export class Events {
  readonly packets: LiveEvents['packets'] = []
  readonly flows = new Map<number, LiveEvents['flows'][number]>()
  head: LiveEvents['head'] | null = null
  missed = 0
  hasEnded = false
  #rest = ''

  constructor(port: number, cookie: string, headers: Record<string, string> = {}) {
    const asked = request(
      { host: '127.0.0.1', port, path: '/events', headers: { Cookie: cookie, ...headers }, agent: false },
      (response) => {
        response.setEncoding('utf8').on('data', (text: string) => this.#take(text))
        response.on('error', () => {})
      },
    )
    asked.on('error', () => {})
    asked.end()
    onTestFinished(() => void asked.destroy())
  }

  #take(text: string): void {
    const events = (this.#rest + text).split('\n\n')
    this.#rest = events.pop()!
    for (const event of events) {
      const name = /^event: (.*)$/m.exec(event)?.[1]
      const data = JSON.parse(/^data: (.*)$/m.exec(event)![1]!)
      if (name === 'packets') this.packets.push(...(data as LiveEvents['packets']))
      else if (name === 'flows') for (const flow of data as LiveEvents['flows']) this.flows.set(flow.id, flow)
      else if (name === 'head') this.head = data
      else if (name === 'missed') this.missed += data
      else if (name === 'end') this.hasEnded = true
    }
  }
}

/** A connection on which these bytes are sent, and nothing is ever read. */
export async function deafSocket(port: number, bytes: string): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port })
  socket.on('error', () => {})
  onTestFinished(() => void socket.destroy())
  await once(socket, 'connect')
  socket.pause()
  socket.write(bytes)
  return socket
}

/** Waits until the other side has closed a connection. */
export async function closed(socket: Socket, patienceMs = 30_000): Promise<void> {
  socket.resume()
  if (socket.closed) return
  await Promise.race([
    once(socket, 'close'),
    sleep(patienceMs, undefined, { ref: false }).then(() => {
      throw new Error('the connection stays open')
    }),
  ])
}
