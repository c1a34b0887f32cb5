/** The lab's traffic: run in a station with a list of things to do as JSON; each gives up by itself and says in a line what came of it. */

import { createSocket } from 'node:dgram'
import { Resolver } from 'node:dns/promises'
import { connect, type Socket } from 'node:net'
import type { NodeAction } from './traffic.ts'

const PATIENCE_MS = 3000

/** Without a reset the kernel goes on sending what nobody takes, into whatever comes next. */
function giveUp(socket: Socket, end: (said: string) => void, said: string): void {
  socket.resetAndDestroy()
  end(said)
}

/** Asks for a page, and leaves the connection open for `holdMs` before. */
function get({ get: [host, port], path = '/', from, holdMs = 0 }: Extract<NodeAction, { get: unknown }>) {
  return new Promise<string>((resolve) => {
    let text = ''
    const socket = connect({ host, port, ...(from === undefined ? {} : { localPort: from }) })
    const end = (said: string) => {
      clearTimeout(timer)
      socket.destroy()
      resolve(said)
    }
    const timer = setTimeout(() => giveUp(socket, end, 'no answer'), PATIENCE_MS + holdMs)
    socket.on('connect', () => {
      setTimeout(
        () => socket.write(`GET ${path} HTTP/1.0\r\nHost: ${host}\r\nConnection: close\r\n\r\n`),
        holdMs,
      )
    })
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1')
    })
    socket.on('end', () => end((text.split('\r\n\r\n')[1] ?? '').split('\n')[0] || 'an empty answer'))
    socket.on('error', (error: NodeJS.ErrnoException) => end(error.code ?? 'failed'))
  })
}

/** Sends a datagram and waits for an answer, where one is expected. */
function send({ send: [host, port], lenBytes, ttl, expectsNothing }: Extract<NodeAction, { send: unknown }>) {
  return new Promise<string>((resolve) => {
    const socket = createSocket('udp4')
    const end = (said: string) => {
      clearTimeout(timer)
      socket.close()
      resolve(said)
    }
    const timer = setTimeout(() => end('no answer'), expectsNothing ? 200 : PATIENCE_MS)
    socket.on('message', (bytes) => end(`${bytes.length} bytes came back`))
    socket.on('error', (error: NodeJS.ErrnoException) => end(error.code ?? 'failed'))
    socket.bind(0, () => {
      if (ttl !== undefined) socket.setTTL(ttl)
      socket.send(Buffer.alloc(lenBytes, 'hoptrace '), port, host)
    })
  })
}

/** Sends so many bytes over TCP, and waits until the other side has taken them all and closed. */
function upload({ upload: [host, port], lenBytes }: Extract<NodeAction, { upload: unknown }>) {
  return new Promise<string>((resolve) => {
    const socket = connect({ host, port })
    const end = (said: string) => {
      clearTimeout(timer)
      socket.destroy()
      resolve(said)
    }
    const timer = setTimeout(() => giveUp(socket, end, 'not all of it arrived'), PATIENCE_MS)
    const head = `POST / HTTP/1.0\r\nHost: ${host}\r\nContent-Length: ${lenBytes}\r\n\r\n`
    socket.on('connect', () => socket.end(head + 'x'.repeat(lenBytes)))
    socket.on('data', () => {})
    socket.on('end', () => end('all of it arrived'))
    socket.on('error', (error: NodeJS.ErrnoException) => end(error.code ?? 'failed'))
  })
}

async function lookUp({ lookUp: name, server }: Extract<NodeAction, { lookUp: unknown }>) {
  const resolver = new Resolver({ timeout: 1500, tries: 1 })
  resolver.setServers([server])
  try {
    return (await resolver.resolve4(name)).join(', ')
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'failed'
  }
}

for (const action of JSON.parse(process.argv[2] ?? '[]') as NodeAction[]) {
  let said: string
  if ('get' in action) said = `GET http://${action.get.join(':')}${action.path ?? '/'} → ${await get(action)}`
  else if ('send' in action)
    said = `UDP ${action.lenBytes} bytes to ${action.send.join(':')}${action.ttl ? ` with TTL ${action.ttl}` : ''} → ${await send(action)}`
  else if ('upload' in action)
    said = `POST ${action.lenBytes} bytes to http://${action.upload.join(':')}/ → ${await upload(action)}`
  else said = `look up ${action.lookUp} at ${action.server} → ${await lookUp(action)}`
  process.stdout.write(`${said}\n`)
}
