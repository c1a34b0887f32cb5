/** Traffic: what answers out on a sealed host's internet, and programs that talk to it out of a namespace. */

import { spawn } from 'node:child_process'
import { onTestFinished } from 'vitest'
import { Running } from './capturing.ts'
import type { SealedHost } from './docker-host.ts'

const SERVICES = `
const page = 'hello from the internet\\n'
require('node:http').createServer((request, response) => response.end(request.url === '/big' ? page.repeat(20_000) : page))
  .listen(80, process.argv[1], () => console.log('http'))
const udp = require('node:dgram').createSocket('udp4')
udp.on('message', (bytes, { port, address }) => udp.send(bytes, port, address))
udp.bind(7, process.argv[1], () => console.log('echo'))
`

/** Starts a page on TCP port 80 and an echo of UDP on port 7; they end with the host. */
export async function serveInternet({ internet }: SealedHost): Promise<void> {
  const running = new Running(internet.spawn(process.execPath, '-e', SERVICES, internet.ip))
  await running.until(({ stdout }) => stdout.includes('http') && stdout.includes('echo'))
}

const CONNECTION = `
const [host, localPort] = process.argv.slice(1)
require('node:net').connect({ host, port: 80, localPort: Number(localPort) }, () => console.log('connected'))
`

/** Opens a connection to the internet's page out of a process's namespace, from this port; it stays for the test. */
export async function connect({ internet }: SealedHost, pid: number, localPort: number): Promise<void> {
  const enter = [`--net=/proc/${pid}/ns/net`, process.execPath, '-e', CONNECTION]
  const running = new Running(spawn('nsenter', [...enter, internet.ip, String(localPort)]))
  onTestFinished(() => void running.child.kill('SIGKILL'))
  await running.until(({ stdout }) => stdout !== '')
}
