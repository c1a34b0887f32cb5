/** The live page in a real browser, of a capture of a real engine's container; its server is on this machine's loopback. */

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { fieldsOf, Running, scratch, startCapture } from '../live/capturing.ts'
import { requireDocker, type SealedHost, startSealedHost } from '../live/docker-host.ts'
import { serveInternet } from '../live/services.ts'
import { addressOf } from '../live/web-client.ts'
import { requireTool } from '../tools.ts'
import { accessibilityFaults, canBrowse, openPage, startBrowser, watchFaults } from './browser.ts'

const canRun = canBrowse && requireDocker() && requireTool('tshark', 'tcpdump')
const PATIENCE = { timeout: 30_000 }

describe.skipIf(!canRun)('the live page', () => {
  let browser: Browser
  let host: SealedHost
  beforeAll(async () => {
    browser = await startBrowser()
    host = await startSealedHost('web')
    await serveInternet(host)
    host.docker('run', '-d', '--name', 'web', 'box', 'sleep', '1000')
  })
  afterAll(async () => {
    await browser?.close()
    await host?.stop()
  })

  const fetchPage = () =>
    void host.docker('exec', 'web', 'wget', '-q', '-O', '-', `http://${host.internet.ip}/`)
  const start = async (...options: string[]) => {
    const points = [
      `container=/proc/${host.pidOf('web')}/ns/net:eth0`,
      `bridge=${host.netns}:docker0`,
      `uplink=${host.netns}:eth0`,
    ].flatMap((point) => ['--point', point])
    const TMPDIR = dirname(scratch()('x'))
    return await startCapture(null, [...points, '--web', ...options], { TMPDIR })
  }
  const newContext = async (theme: 'light' | 'dark' = 'light'): Promise<BrowserContext> => {
    const context = await browser.newContext({ viewport: { width: 1440, height: 1000 }, colorScheme: theme })
    onTestFinished(() => context.close())
    return context
  }
  const open = async (context: BrowserContext, address: string) => {
    const page = await context.newPage()
    const faults = watchFaults(page, address, new URL('/', address).href)
    await page.goto(address)
    await page.waitForSelector('main')
    return { page, faults }
  }
  const state = (page: Page) => page.locator('.live-state').innerText()
  const counted = async (page: Page) =>
    Number(
      (await page.locator('.live-counts').innerText())
        .match(/([\d,. \u202f]*\d) packet/)?.[1]
        ?.replace(/\D/g, ''),
    )
  /** What is followed stands in the address. */
  const shown = (page: Page) => {
    const words = new URLSearchParams(new URL(page.url()).hash.slice(1))
    return { flow: Number(words.get('flow')), packet: Number(words.get('packet')) }
  }

  test('packets appear as they travel; pause, follow, reload; the end is told', async () => {
    const running = await start('--filter', 'tcp')
    const { address } = await addressOf(running)
    const { page, faults } = await open(await newContext(), address)
    expect(page.url()).not.toContain('token')
    expect(await state(page)).toBe('Live')
    await page.getByText('No flow yet').waitFor()
    await page.getByLabel('Follow').selectOption('this flow')
    fetchPage()
    await expect.poll(() => shown(page).flow, PATIENCE).toBe(1)
    // SYN, SYN-ACK, ACK, request, answer, and the end of both sides.
    await expect.poll(() => shown(page).packet, PATIENCE).toBeGreaterThanOrEqual(9)
    const first = await counted(page)

    await page.keyboard.press('l')
    await expect.poll(() => state(page), PATIENCE).toBe('Paused')
    fetchPage()
    await sleep(1500)
    expect(await counted(page)).toBe(first)
    await page.getByRole('button', { name: 'Continue' }).click()
    await expect.poll(() => counted(page), PATIENCE).toBeGreaterThan(first)
    expect(shown(page).flow).toBe(1)
    await page.getByLabel('Follow').selectOption('the newest packet')
    await expect.poll(() => shown(page).flow, PATIENCE).toBe(2)

    await page.reload()
    await page.waitForSelector('main')
    await page.getByLabel('Follow').selectOption('this flow')
    await expect.poll(() => shown(page).packet, PATIENCE).toBeGreaterThanOrEqual(9)
    for (const theme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme: theme })
      expect(await accessibilityFaults(page)).toEqual([])
    }
    const { code } = await running.end()
    expect(code).toBe(0)
    await expect.poll(() => state(page), PATIENCE).toBe('The capture has ended')
    await page.getByText('What is shown stays').waitFor()
    expect(await page.getByText('Flow 2', { exact: false }).count()).toBeGreaterThan(0)
    expect(await page.getByRole('button', { name: 'Stop' }).count()).toBe(0)
    expect(await accessibilityFaults(page)).toEqual([])
    expect(faults).toEqual([])
  })

  test('what is saved has the frames that tcpdump sees, and opens as a report', async () => {
    const path = scratch()
    const running = await start()
    const theirs = path('tcpdump.pcap')
    const tcpdump = new Running(host.spawn('tcpdump', '-i', 'docker0', '-U', '-w', theirs, 'tcp'))
    await tcpdump.untilSaid(/listening on/)
    const { page, faults } = await open(await newContext(), (await addressOf(running)).address)
    for (let i = 0; i < 3; i++) fetchPage()
    await expect.poll(() => page.locator('.live-counts').innerText(), PATIENCE).toMatch(/\b3\s+flows/)
    await sleep(1500)
    await tcpdump.end()
    const pcapng = await download(page, () => page.getByRole('link', { name: 'Save pcapng' }).click())
    expect(pcapng.name).toMatch(/^container-[\w-]+\.pcapng$/)
    const fields = ['ip.id', 'tcp.seq_raw', 'tcp.flags', 'frame.len']
    const filter = (point: string) => ['-Y', `tcp && frame.interface_name == "${point}"`]
    const seen = fieldsOf(pcapng.path, fields, ...filter('bridge'))
    expect(seen.length).toBeGreaterThanOrEqual(27)
    expect(seen).toEqual(fieldsOf(theirs, fields))

    const html = await download(page, () => page.getByRole('button', { name: 'Save HTML' }).click())
    expect(html.name).toMatch(/^container-[\w-]+\.html$/)
    const report = await openPage(browser, html.path)
    onTestFinished(() => report.page.context().close())
    expect(await report.page.locator('.counts').innerText()).toMatch(/\b3 points\s+3 flows\b/)
    expect(await report.page.locator('.live').count()).toBe(0)
    expect([...report.faults, ...faults]).toEqual([])
    expect((await running.end()).code).toBe(0)
  })

  test('a closed browser is no matter; its cookie opens the page again, and no other browser', async () => {
    const running = await start()
    const { address, port } = await addressOf(running)
    const context = await newContext()
    const { page } = await open(context, address)
    await page.close()
    fetchPage()
    const again = await open(context, `http://127.0.0.1:${port}/`)
    await again.page.getByLabel('Follow').selectOption('this flow')
    await expect.poll(() => shown(again.page).packet, PATIENCE).toBeGreaterThanOrEqual(9)
    // Nor is one that is there no more when the capture ends.
    await context.close()
    const stranger = await (await newContext()).newPage()
    for (const url of [address, `http://127.0.0.1:${port}/`]) {
      expect((await stranger.goto(url))!.status()).toBe(403)
      expect(await stranger.locator('p').innerText()).toMatch(/hoptrace printed|for a new one/)
    }
    expect((await running.end()).code).toBe(0)
  })

  test('the stop button ends the capture; a capture that is killed is told as a lost connection', async () => {
    const [stopped, killed] = [await start(), await start()]
    const context = await newContext()
    const [one, other] = [
      await open(context, (await addressOf(stopped)).address),
      await open(context, (await addressOf(killed)).address),
    ]
    one.page.once('dialog', (dialog) => void dialog.dismiss())
    await one.page.getByRole('button', { name: 'Stop' }).click()
    one.page.once('dialog', (dialog) => void dialog.accept())
    expect(await state(one.page)).toBe('Live')
    await one.page.getByRole('button', { name: 'Stop' }).click()
    expect((await stopped.ended).code).toBe(0)
    await expect.poll(() => state(one.page), PATIENCE).toBe('The capture has ended')
    expect(one.faults).toEqual([])
    expect(await state(other.page)).toBe('Live')
    await killed.end('SIGKILL')
    await expect.poll(() => state(other.page), PATIENCE).toBe('Connection lost, trying again')
  })

  test('no other page gets anything out of it, and no foreign script runs in it', async () => {
    const running = await start()
    const { address, port } = await addressOf(running)
    const context = await newContext()
    const { page } = await open(context, address)
    const attack = createServer((_request, response) =>
      response.setHeader('Content-Type', 'text/html').end('<!doctype html><title>x</title>'),
    ).listen(0, '127.0.0.1')
    onTestFinished(() => void attack.close())
    const evil = await context.newPage()
    const answers: [string, number][] = []
    evil.on('response', (response) => {
      if (response.url().includes(`:${port}/`))
        answers.push([new URL(response.url()).pathname, response.status()])
    })
    await evil.goto(`http://127.0.0.1:${(attack.address() as AddressInfo).port}/`)
    const got = await evil.evaluate(async (target) => {
      const tries = ['/', '/events', '/capture.pcapng', '/report.html'].flatMap((path) => [
        fetch(target + path, { credentials: 'include' }),
        fetch(target + path, { credentials: 'include', mode: 'no-cors' }),
      ])
      const stops = [
        fetch(`${target}/stop`, { method: 'POST', credentials: 'include' }),
        fetch(`${target}/stop`, { method: 'POST', credentials: 'include', mode: 'no-cors' }),
      ]
      const frame = document.createElement('iframe')
      frame.src = `${target}/`
      document.body.append(frame)
      const results = await Promise.allSettled([...tries, ...stops])
      return await Promise.all(
        results.map(async (result) =>
          result.status === 'fulfilled' ? await result.value.text().catch(() => '') : '',
        ),
      )
    }, `http://127.0.0.1:${port}`)
    expect(got.join('')).toBe('')
    await expect.poll(() => answers.length, PATIENCE).toBeGreaterThan(0)
    for (const [path, status] of answers) expect(status, path).toBe(403)

    const ran = await page.evaluate(async () => {
      const script = document.createElement('script')
      script.textContent = 'window.ran = "inline"'
      document.body.append(script)
      const link = document.createElement('div')
      link.innerHTML = '<img src="x" onerror="window.ran = \'handler\'">'
      document.body.append(link)
      const elsewhere = await fetch('http://127.0.0.1:9/').then(String, (error) => error.name)
      await new Promise((resolve) => setTimeout(resolve, 300))
      return [String((window as unknown as { ran?: string }).ran), elsewhere]
    })
    expect(ran).toEqual(['undefined', 'TypeError'])
    expect(await state(page)).toBe('Live')
    expect((await running.end()).code).toBe(0)
  })
})

async function download(page: Page, click: () => Promise<void>): Promise<{ path: string; name: string }> {
  const [file] = await Promise.all([page.waitForEvent('download'), click()])
  const name = file.suggestedFilename()
  const path = join(scratch()('x'), '..', name)
  await file.saveAs(path)
  return { path, name }
}
