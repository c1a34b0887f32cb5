/** The page as a whole: every recorded capture, any screen, any address, by keyboard alone, and on paper. */

import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Report } from '../../src/report/model.ts'
import { hoptrace } from '../commands/program.ts'
import { accessibilityFaults, canBrowse, openPage, Reports, startBrowser } from './browser.ts'
import { EMPTY, writePage } from './made-page.ts'

const CAPTURES = join(import.meta.dirname, '../../captures')
const SHIPPED = readdirSync(CAPTURES, { withFileTypes: true }).flatMap((entry) =>
  entry.isDirectory() ? entry.name : [],
)
const VIEWS = ['ladder', 'packet', 'play', 'charts']

const hashOf = (page: Page) => new URL(page.url()).hash
/** How much wider than the window the page is. */
const tooWide = (page: Page) =>
  page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)

describe.skipIf(!canBrowse)('the page', () => {
  let browser: Browser
  let folder: string
  const reports = new Reports()
  beforeAll(async () => {
    browser = await startBrowser()
    folder = mkdtempSync(join(tmpdir(), 'hoptrace-page-'))
  })
  afterAll(async () => {
    await browser?.close()
    reports.remove()
    rmSync(folder, { recursive: true, force: true })
  })

  test.each(SHIPPED)(
    '%s is drawn without an error, asks for nothing, is accessible, and fits',
    async (name) => {
      const path = await reports.make(join(CAPTURES, name))
      for (const theme of ['light', 'dark'] as const) {
        const { page, faults } = await openPage(browser, path, { theme })
        expect(await page.title()).toMatch(/ · hoptrace$/)
        // In the dark the colours are others, and nothing else.
        const rules = theme === 'dark' ? ['color-contrast'] : undefined
        expect(await accessibilityFaults(page, rules)).toEqual([])
        expect(await tooWide(page)).toBe(0)
        expect(faults).toEqual([])
        await page.context().close()
      }
      const { page, faults } = await openPage(browser, path, { width: 360, height: 800 })
      for (const view of VIEWS) {
        await page.evaluate((next) => {
          location.hash = `#flow=1&packet=1&view=${next}`
        }, view)
        await page.waitForTimeout(150)
        expect(await tooWide(page), view).toBe(0)
      }
      expect(await accessibilityFaults(page)).toEqual([])
      expect(faults).toEqual([])
      await page.context().close()
    },
  )

  test('is less than 400 kB without its data', async () => {
    const page = readFileSync(await reports.make(join(CAPTURES, 'same-bridge')), 'utf8')
    const without = page.replaceAll(/<script type="application\/x-hoptrace"[^>]*>[^<]*<\/script>/g, '')
    expect(without.length).toBeLessThan(page.length)
    expect(Buffer.byteLength(without)).toBeLessThan(400_000)
  })

  test('has an address for all that is selected, which brings it back', async () => {
    const path = await reports.make(join(CAPTURES, 'udp-and-ping'))
    for (const view of VIEWS) {
      const hash = `#flow=2&packet=5&view=${view}`
      const { page, faults } = await openPage(browser, path, { hash })
      await page.locator(`#tab-${view}[aria-selected=true]`).waitFor()
      await expect.poll(() => hashOf(page)).toBe(hash)
      expect(await page.locator('#flow-title').textContent()).toContain('Flow 2')
      expect(await page.locator('.grid-body [aria-selected=true] .cell-id').textContent()).toBe('2')
      expect(faults).toEqual([])
      await page.context().close()
    }
    const { page } = await openPage(browser, path)
    await page.locator('.grid-body [role=row]').nth(2).click()
    await page.getByRole('tab', { name: 'Charts' }).click()
    await expect.poll(() => hashOf(page)).toBe('#flow=3&view=charts')
    const { page: other } = await openPage(browser, path, { hash: hashOf(page) })
    await expect.poll(() => hashOf(other)).toBe('#flow=3&view=charts')
    expect(await other.locator('#flow-title').textContent()).toContain('Flow 3')
    await page.context().close()
    await other.context().close()
  })

  test('keeps in its address what the flows are filtered by', async () => {
    const path = await reports.make(join(CAPTURES, 'udp-and-ping'))
    const shown = (on: Page) => on.locator('.flows-count').textContent()
    const { page, faults } = await openPage(browser, path)
    const all = await shown(page)
    for (const filter of ['port 53', 'a+b & c=d # 100% “é” 😀', 'udp']) {
      await page.getByLabel('Filter').fill(filter)
      const hash = await page.evaluate(() => location.hash)
      const { page: other } = await openPage(browser, path, { hash })
      expect(await other.getByLabel('Filter').inputValue()).toBe(filter)
      expect(await shown(other)).toBe(await shown(page))
      await other.context().close()
    }
    expect(await shown(page)).not.toBe(all)
    await page.evaluate(() => {
      location.hash = '#flow=2&filter=icmp'
    })
    await expect.poll(() => page.getByLabel('Filter').inputValue()).toBe('icmp')
    await expect.poll(() => hashOf(page)).toBe('#flow=2&view=ladder&filter=icmp')
    await page.getByLabel('Filter').fill('')
    await expect.poll(() => hashOf(page)).toBe('#flow=2&view=ladder')
    expect(faults).toEqual([])
    await page.context().close()
  })

  test('stands any address', async () => {
    const path = await reports.make(join(CAPTURES, 'udp-and-ping'))
    const { page, faults } = await openPage(browser, path)
    const hostile = [
      '#flow=99',
      '#flow=-1',
      '#flow=1e3&packet=0',
      '#flow=2&packet=999999999',
      '#flow=<script>alert(1)</script>',
      '#view=__proto__&flow=constructor',
      '#%E0%A4%A',
      `#flow=${'9'.repeat(10_000)}`,
      '#filter=%00%ff(((',
      `#filter=${'('.repeat(10_000)}`,
      '#main',
      '#',
    ]
    for (const hash of hostile) {
      await page.evaluate((next) => {
        location.hash = next
      }, hash)
      await page.waitForTimeout(50)
      expect(await page.locator('#flow-title').textContent(), hash).toMatch(/^Flow [12] /)
      expect(await page.locator('main').count(), hash).toBe(1)
    }
    expect(faults).toEqual([])
    await page.context().close()
  })

  test('changes its colours when asked, and keeps them', async () => {
    const path = await reports.make(join(CAPTURES, 'same-bridge'))
    const { page } = await openPage(browser, path, { theme: 'light' })
    const ground = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor)
    const light = await ground()
    await page.getByText('Dark', { exact: true }).click()
    const dark = await ground()
    expect(dark).not.toBe(light)
    expect(await accessibilityFaults(page)).toEqual([])
    await page.reload()
    await page.waitForSelector('main')
    expect(await ground()).toBe(dark)
    await page.getByText('Auto', { exact: true }).click()
    expect(await ground()).toBe(light)
    await page.context().close()
  })

  test('is walked through by keyboard alone: filter, flow, tab, packet, finding', async () => {
    const { page, faults } = await openPage(browser, await reports.make(join(CAPTURES, 'udp-and-ping')))
    await page.keyboard.press('Tab')
    expect(await page.locator(':focus').textContent()).toBe('Skip to the flows')
    await page.keyboard.press('Enter')
    expect(await page.locator(':focus').textContent()).toBe('Flows')
    await page.keyboard.press('/')
    await page.keyboard.type('udp and state refused')
    await page.keyboard.press('Enter')
    expect(await page.locator(':focus .cell-id').textContent()).toBe('3')
    await page.keyboard.press('Enter')
    await expect.poll(() => hashOf(page)).toBe('#flow=3&view=ladder&filter=udp+and+state+refused')
    await page.keyboard.press('Enter')
    expect(await page.locator(':focus').getAttribute('role')).toBe('tab')
    await page.keyboard.press('ArrowRight')
    await expect.poll(() => hashOf(page)).toContain('view=packet')
    expect(await page.locator(':focus').textContent()).toBe('Headers')
    await page.keyboard.press('End')
    await expect.poll(() => hashOf(page)).toContain('view=charts')
    // Backwards over what stands between the flow and the table, to the finding about it.
    for (let presses = 0; presses < 40; presses++) {
      await page.keyboard.press('Shift+Tab')
      const text = await page.locator(':focus').textContent()
      if (text?.startsWith('Show its packets of connection-refused')) break
    }
    await page.keyboard.press('Enter')
    await expect.poll(() => hashOf(page)).toBe('#flow=3&packet=1&view=packet&filter=udp+and+state+refused')
    await page.keyboard.press('/')
    await page.keyboard.press('Escape')
    expect(await page.getByRole('searchbox').inputValue()).toBe('')
    expect(await page.locator('.grid-body [role=row]').count()).toBe(4)
    expect(faults).toEqual([])
    await page.context().close()
  })

  test('has headings in their order, and landmarks with names', async () => {
    const { page } = await openPage(browser, await reports.make(join(CAPTURES, 'lossy-download')))
    const levels = await page
      .locator('h1, h2, h3, h4')
      .evaluateAll((headings) => headings.map(({ tagName }) => Number(tagName[1])))
    expect(levels[0]).toBe(1)
    expect(levels.filter((level) => level === 1)).toHaveLength(1)
    for (const [i, level] of levels.entries())
      if (i > 0) expect(level - levels[i - 1]!).toBeLessThanOrEqual(1)
    for (const name of ['Flows', 'Findings', 'About this capture'])
      expect(await page.getByRole('region', { name, exact: true }).count()).toBe(1)
    for (const role of ['main', 'banner', 'search'] as const)
      expect(await page.getByRole(role).count()).toBe(1)
    await page.context().close()
  })

  test('on paper has the flows, the findings with all causes, and what it stands on', async () => {
    for (const name of ['many-flows', 'lossy-download']) {
      const { page } = await openPage(browser, await reports.make(join(CAPTURES, name)), { theme: 'dark' })
      const pdf = (await page.pdf({ format: 'A4', tagged: true })).toString('latin1')
      expect(pdf).toMatch(/^%PDF-/)
      // Rows of both tables, titles included: the printed page has more of them than stood on the screen.
      const points = await page.getByRole('region', { name: 'Points' }).getByRole('row').count()
      expect(pdf.match(/\/S\s*\/TR\b/g)).toHaveLength((name === 'many-flows' ? 41 : 2) + points)
      await page.emulateMedia({ media: 'print' })
      await page.evaluate(() => dispatchEvent(new Event('beforeprint')))
      await page.waitForTimeout(200)
      const rows = page.locator('.grid-body [role=row]')
      expect(await rows.count()).toBe(name === 'many-flows' ? 40 : 1)
      const [first, last] = [await rows.first().boundingBox(), await rows.last().boundingBox()]
      if (name === 'many-flows') {
        expect(last!.y - first!.y).toBeGreaterThan(38 * first!.height)
        await page.getByText('… 110 more flows').waitFor()
      } else {
        for (const command of await page.locator('.finding code').all())
          expect(await command.isVisible()).toBe(true)
      }
      expect(await page.getByRole('searchbox').isVisible()).toBe(false)
      expect(await page.getByRole('button', { name: /^(Copy|Show|Next)/ }).count()).toBe(0)
      expect(await tooWide(page)).toBe(0)
      expect(await page.evaluate(() => getComputedStyle(document.documentElement).colorScheme)).toBe('light')
      await page.evaluate(() => dispatchEvent(new Event('afterprint')))
      await page.context().close()
    }
  })

  test('of nothing says so', async () => {
    const path = join(folder, 'empty.html')
    await writePage(path, EMPTY)
    for (const width of [360, 1440]) {
      const { page, faults } = await openPage(browser, path, { width })
      await page.getByText('No flow was seen.').waitFor()
      await page.getByText('Nothing is wrong').waitFor()
      expect(await page.locator('#flow-title').count()).toBe(0)
      expect(await tooWide(page)).toBe(0)
      expect(await accessibilityFaults(page)).toEqual([])
      expect(faults).toEqual([])
      await page.context().close()
    }
  })

  test('shows names that nobody would give as text, and stays as wide as it is', async () => {
    const nasty = `<img src=x onerror=alert(1)>${'W'.repeat(2000)}`
    const { stdout } = await hoptrace('analyze', '--json', join(CAPTURES, 'outbound-masquerade'))
    const report = JSON.parse(stdout.replaceAll('"uplink"', JSON.stringify(nasty))) as Report
    const [flow] = report.flows
    const path = join(folder, 'nasty.html')
    await writePage(path, {
      ...report,
      points: report.points.map((point) => ({ ...point, source: nasty, linkType: nasty })),
      flows: [{ ...flow!, dnsNames: [nasty], protocol: nasty }],
      names: { [flow!.client.ip]: nasty, [flow!.server.ip]: nasty },
      warnings: [nasty],
      notJoined: [{ reason: nasty, point: nasty, packets: 1 }],
      expectations: [{ expression: nasty, holds: false, evidence: nasty }],
      findings: [
        {
          code: nasty,
          severity: 'error',
          flow: 1,
          summary: nasty,
          evidence: { frames: { [nasty]: [1, 2] } },
          causes: [{ id: nasty, what: nasty, isConfirmed: true, receipt: nasty, check: nasty }],
        },
      ],
    })
    for (const width of [360, 1440]) {
      const { page, faults } = await openPage(browser, path, { width })
      expect(await page.locator('img').count()).toBe(0)
      expect(await tooWide(page)).toBe(0)
      expect(await page.locator('.finding-summary').textContent()).toBe(nasty)
      expect(faults).toEqual([])
      await page.context().close()
    }
  })
})
