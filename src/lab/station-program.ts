/**
 * The lab's servers: run as a process of its own in a station, with what to serve as arguments: `http=IP:PORT`, `echo=IP:PORT`
 * (UDP), `dns=IP:PORT` and `docker-dns=IP:PORT` (names), `proxy=IP:PORT,IP:PORT`. First comes the lab's folder: without it, it ends.
 */

import { createSocket, type Socket } from 'node:dgram'
import { existsSync } from 'node:fs'
import { createServer } from 'node:http'
import { connect, createServer as createTcpServer } from 'node:net'

const LOOK_EVERY_MS = 1000
const NAME_SERVER = '203.0.113.10'
/** What is known out there, and what Docker knows of its own containers. */
const NAMES: Record<string, string> = { 'www.example.com': NAME_SERVER }
const CONTAINERS: Record<string, string> = { container3: '172.18.0.2' }

const [folder = '', station = '', ...services] = process.argv.slice(2)

interface Address {
  host: string
  port: number
}

function addressOf(text: string): Address {
  const [host = '', port = ''] = text.split(':')
  return { host, port: Number(port) }
}

function serveHttp({ host, port }: Address): Promise<void> {
  const page = `hello from ${station}\n`
  const server = createServer((request, response) => {
    request.resume().on('end', () => response.end(page))
  })
  return new Promise((resolve) => server.listen(port, host, resolve))
}

/** An answer that finds no way back is lost; a server that cannot listen at all ends. */
function bound(socket: Socket, { host, port }: Address): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject)
    socket.bind(port, host, () => {
      socket.off('error', reject).on('error', () => {})
      resolve()
    })
  })
}

function serveEcho(address: Address): Promise<void> {
  const socket = createSocket('udp4')
  socket.on('message', (bytes, from) => socket.send(bytes, from.port, from.address))
  return bound(socket, address)
}

/** Answers for `names`; what it does not know it asks the server at `beyond`, or says that there is none. */
function serveNames(address: Address, names: Record<string, string>, beyond: string | null): Promise<void> {
  const socket = createSocket('udp4')
  socket.on('message', (query, from) => {
    if (query.length < 17) return
    const ip = names[nameIn(query)]
    const answer = (bytes: Buffer) => socket.send(bytes, from.port, from.address)
    if (ip === undefined && beyond !== null) forward(query, beyond, answer)
    else answer(answerTo(query, ip))
  })
  return bound(socket, address)
}

function forward(query: Buffer, server: string, answer: (bytes: Buffer) => void): void {
  const socket = createSocket('udp4')
  const timer = setTimeout(() => socket.close(), 2000)
  socket.on('message', (bytes) => {
    clearTimeout(timer)
    answer(bytes)
    socket.close()
  })
  socket.on('error', () => {})
  socket.send(query, 53, server)
}

/** The name that a query asks for (RFC 1035 section 4.1.2), without its last dot. */
function nameIn(query: Buffer): string {
  const labels: string[] = []
  for (let at = 12; at < query.length && query[at]! > 0 && query[at]! < 64; at += query[at]! + 1)
    labels.push(query.toString('latin1', at + 1, at + 1 + query[at]!))
  return labels.join('.').toLowerCase()
}

/** The query as a response, with one address, or with NXDOMAIN (RFC 1035 section 4.1.1). */
function answerTo(query: Buffer, ip: string | undefined): Buffer {
  let end = 12
  while (end < query.length && query[end]! > 0) end += query[end]! + 1
  const question = query.subarray(12, end + 5)
  const header = Buffer.from([
    0,
    0,
    0x81,
    ip === undefined ? 0x83 : 0x80,
    0,
    1,
    0,
    ip === undefined ? 0 : 1,
    0,
    0,
    0,
    0,
  ])
  query.copy(header, 0, 0, 2)
  const record = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, ...(ip ?? '').split('.').map(Number)]
  return Buffer.concat([header, question, ...(ip === undefined ? [] : [Buffer.from(record)])])
}

/** As docker-proxy: one connection ends here, another one carries its bytes on. */
function serveProxy(at: Address, to: Address): Promise<void> {
  const server = createTcpServer((client) => {
    const onward = connect(to)
    client.pipe(onward).pipe(client)
    for (const [one, other] of [
      [client, onward],
      [onward, client],
    ] as const)
      one.on('error', () => other.destroy())
  })
  return new Promise((resolve) => server.listen(at.port, at.host, resolve))
}

function serve(service: string): Promise<void> {
  const [kind = '', where = ''] = service.split('=')
  const [at, to] = where.split(',').map(addressOf) as [Address, Address?]
  if (kind === 'http') return serveHttp(at)
  if (kind === 'echo') return serveEcho(at)
  if (kind === 'dns') return serveNames(at, NAMES, null)
  if (kind === 'docker-dns') return serveNames(at, CONTAINERS, NAME_SERVER)
  if (kind === 'proxy' && to) return serveProxy(at, to)
  throw new Error(`no such service: ${service}`)
}

// Nobody may be left to end it: it ends with the lab.
setInterval(() => {
  if (!existsSync(folder)) process.exit(0)
}, LOOK_EVERY_MS)
await Promise.all(services.map(serve))
process.stdout.write('ready\n')
