/** The server of a live page, with downloads that can't be made: the program goes on, and the browser is told. */

import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { Downloads, type KeptPart } from '../../src/serve/downloads.ts'
import type { Feeds } from '../../src/serve/event-stream.ts'
import { PageServer } from '../../src/serve/page-server.ts'
import { ask } from '../live/web-client.ts'

let folder: string
let server: PageServer
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'hoptrace-test-'))
  server = await PageServer.listen(0, 'x')
})
afterEach(() => {
  vi.unstubAllEnvs()
  server.close()
  rmSync(folder, { recursive: true, force: true })
})

/** Serves these files, and lets itself in. */
async function begin(parts: () => KeptPart[]) {
  const downloads = new Downloads({ parts, name: 'x' })
  server.serve({ feeds: {} as Feeds, downloads, onStop: () => {} })
  const { port, searchParams } = new URL(server.address)
  const { headers } = await ask(Number(port), `/?token=${searchParams.get('token')}`)
  const Cookie = headers['set-cookie']![0]!.split(';')[0]!
  const get = (path: string) => ask(Number(port), path, { Cookie })
  return { downloads, get, port: Number(port), Cookie }
}

function part(lenBytes: number): KeptPart {
  const path = join(folder, 'kept.pcapng')
  writeFileSync(path, new Uint8Array(100))
  return { path, lenBytes }
}

test('no folder for temporary files', async () => {
  const { get, downloads } = await begin(() => [part(100)])
  vi.stubEnv('TMPDIR', join(folder, 'gone'))
  for (let turn = 0; turn < 6; turn++) {
    const { status, body } = await get('/report.html')
    expect(status).toBe(500)
    expect(body.toString()).toContain('save the pcapng')
  }
  expect((await get('/')).status).toBe(200)
  vi.unstubAllEnvs()
  vi.stubEnv('TMPDIR', folder)
  expect((await get('/report.html')).status).toBe(500)
  expect(downloads.running).toBe(0)
  expect(readdirSync(folder)).toEqual(['kept.pcapng'])
})

test('a program that can’t be started', async () => {
  const { get } = await begin(() => [part(100)])
  vi.stubEnv('TMPDIR', folder)
  const { execPath } = process
  onTestFinished(() => {
    process.execPath = execPath
  })
  process.execPath = '/nowhere'
  for (let turn = 0; turn < 3; turn++) expect((await get('/report.html')).status).toBe(500)
  expect(readdirSync(folder)).toEqual(['kept.pcapng'])
})

test('a capture that is too large to be copied beside it', async () => {
  const { get } = await begin(() => [part(2 ** 31)])
  const { status, body } = await get('/report.html')
  expect(status).toBe(507)
  expect(body.toString()).toContain('give it to hoptrace report')
})

test('whatever else goes wrong', async () => {
  const { get } = await begin(() => {
    throw new Error('EIO: /home/user/secret.pcapng')
  })
  for (const path of ['/capture.pcapng', '/report.html']) {
    const { status, body } = await get(path)
    expect(status).toBe(500)
    expect(body.toString()).not.toContain('secret')
  }
  expect((await get('/')).status).toBe(200)
})

test('files that are gone: the browser sees that it does not get all', async () => {
  const { get, downloads } = await begin(() => [{ path: join(folder, 'gone.pcapng'), lenBytes: 100 }])
  await expect(get('/capture.pcapng')).rejects.toThrow(/aborted|hang up/)
  expect((await get('/report.html')).status).toBe(500)
  expect((await get('/')).status).toBe(200)
  expect(downloads.running).toBe(0)
})

test('requests behind one that is not answered yet end the connection, those after it do not', async () => {
  const { port, Cookie } = await begin(() => [part(100)])
  const asked = `GET / HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nCookie: ${Cookie}\r\n\r\n`
  for (const times of [2, 2000]) expect(await answersTo(port, asked.repeat(times))).toBeLessThanOrEqual(1)
  const socket = connect({ host: '127.0.0.1', port })
  onTestFinished(() => void socket.destroy())
  let text = ''
  socket.setEncoding('latin1').on('data', (more: string) => {
    text += more
    if (text.endsWith('\r\n0\r\n\r\n') && answers(text) < 20) socket.write(asked)
  })
  socket.write(asked)
  await expect.poll(() => answers(text), { timeout: 30_000 }).toBe(20)
})

/** How many answers come until the connection ends. */
async function answersTo(port: number, bytes: string): Promise<number> {
  const socket = connect({ host: '127.0.0.1', port })
  socket.on('error', () => {})
  let text = ''
  socket.setEncoding('latin1').on('data', (more: string) => {
    text += more
  })
  socket.write(bytes)
  await new Promise((resolve) => socket.once('close', resolve))
  return answers(text)
}

function answers(text: string): number {
  return text.split('HTTP/1.1 200 OK').length - 1
}
