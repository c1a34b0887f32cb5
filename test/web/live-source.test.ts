/** What the page does with what a live server sends; the server is the test's own, so that it can send without a pause. */

import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { pageAssets } from '../../src/page/assets.ts'
import { pageHead, pageTail } from '../../src/page/markup.ts'
import type { LiveEvents, LiveStatus } from '../../src/report/page-live.ts'
import { canBrowse, startBrowser, watchFaults } from './browser.ts'
import { longFlowReport, packetOf } from './long-flow.ts'

const SEND_EVERY_MS = 50
const PATIENCE = { timeout: 30_000 }
const STATUS: LiveStatus = {
  elapsedMs: 1000,
  packets: 0,
  packetsPerSecond: 0,
  flows: 1,
  untold: 0,
  drops: 0,
  kept: { bytes: 0, problem: null },
}

describe.skipIf(!canBrowse)('a page whose packets come without a pause', () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await startBrowser()
  })
  afterAll(() => browser?.close())

  test('its charts are drawn anew meanwhile', async () => {
    const url = await serve((send) => {
      let number = 0
      const sending = setInterval(() => {
        send('packets', [packetOf(++number), packetOf(++number)])
        if (number % 20 === 0) send('head', headOf(number))
      }, SEND_EVERY_MS)
      return () => clearInterval(sending)
    })
    const page = await browser.newPage()
    onTestFinished(() => page.close())
    const faults = watchFaults(page, url, url)
    await page.goto(`${url}#flow=1&view=charts`)
    // The label of the distribution says how many packets to the server it is about.
    const charted = async () => {
      const labels = await page
        .locator('.plot-canvas')
        .evaluateAll((list) => list.map((one) => one.ariaLabel))
      return Number(labels.map((label) => / of (\d+) packets\./.exec(label ?? '')?.[1]).find(Boolean) ?? 0)
    }
    await expect.poll(charted, PATIENCE).toBeGreaterThan(0)
    const first = await charted()
    await expect.poll(charted, PATIENCE).toBeGreaterThan(first)
    const second = await charted()
    await expect.poll(charted, PATIENCE).toBeGreaterThan(second)
    expect(faults).toEqual([])
  })
})

type Send = <Name extends keyof LiveEvents>(name: Name, data: LiveEvents[Name]) => void

/** Serves a live page until the test is over; `begin` is called for each that listens, and what it returns at the end. */
async function serve(begin: (send: Send) => () => void): Promise<string> {
  const stops: (() => void)[] = []
  const server = createServer(({ url }, response) => {
    if (url === '/events') {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' })
      const send = sendTo(response)
      send('hello', { about: ABOUT, earlierPackets: 0 })
      send('flows', longFlowReport(1000, 0).flows)
      send('head', headOf(0))
      stops.push(begin(send))
    } else
      response
        .setHeader('Content-Type', 'text/html')
        .end(`${pageHead(pageAssets(), 'live', '/events')}${pageTail()}`)
  }).listen(0, '127.0.0.1')
  onTestFinished(() => {
    for (const stop of stops) stop()
    server.closeAllConnections()
    server.close()
  })
  await new Promise((resolve) => server.once('listening', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

const ABOUT: LiveEvents['hello']['about'] = {
  schema: 'hoptrace.page/1',
  title: 'live',
  version: '0',
  descriptions: {},
  blocks: [],
}

function sendTo(response: ServerResponse): Send {
  return (name, data) => void response.write(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`)
}

function headOf(packets: number): LiveEvents['head'] {
  const { flows: _, ...report } = longFlowReport(1000, 0)
  return { report, gone: [], status: { ...STATUS, packets } }
}
