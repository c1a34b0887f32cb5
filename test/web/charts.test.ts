import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Report } from '../../src/report/model.ts'
import { formatDurationNs } from '../../src/report/quantities.ts'
import { hoptrace } from '../commands/program.ts'
import { accessibilityFaults, canBrowse, captureOf, openPage, Reports, startBrowser } from './browser.ts'

describe.skipIf(!canBrowse)('the charts of a flow', () => {
  let browser: Browser
  const reports = new Reports()
  beforeAll(async () => {
    browser = await startBrowser()
  })
  afterAll(async () => {
    await browser?.close()
    reports.remove()
  })

  test.each(['double-nat', 'lossy-download'])('%s: the table has the report’s own medians', async (name) => {
    const { flows } = JSON.parse((await hoptrace('analyze', captureOf(name), '--json')).stdout) as Report
    const { page, faults } = await openPage(browser, await reports.of(name), { hash: '#flow=1&view=charts' })
    for (const [direction, title] of [
      ['forward', 'To the server'],
      ['reverse', 'To the client'],
    ]) {
      await page.locator('.charts .switch label', { hasText: title! }).click()
      await page.locator('.charts').getByText('Latency as a table').click()
      const rows = await tableRows(page, 'Latency of each hop')
      const reported = flows[0]!.latency.filter((one) => one.direction === direction)
      expect(rows).toEqual(
        reported.map(({ between: [from, to], packets, minNs, medianNs, p99Ns }) => [
          `${from} → ${to}`,
          String(packets),
          formatDurationNs(minNs),
          formatDurationNs(medianNs),
          formatDurationNs(p99Ns),
          expect.any(String),
        ]),
      )
      expect(reported.length).toBeGreaterThan(2)
    }
    expect(faults).toEqual([])
    await page.context().close()
  })

  test('every series is drawn, in a colour of its own; switched off it is gone', async () => {
    const { page } = await openPage(browser, await reports.of('double-nat'), { hash: '#flow=1&view=charts' })
    const names = page.locator('.plot').first().locator('.series-legend button')
    expect(await names.count()).toBe(6)
    const plot = page.locator('.plot canvas').first()
    const colors = await legendColors(page)
    expect(new Set(colors).size).toBe(6)
    for (const color of colors) expect(await pixelsOf(page, color), color).toBeGreaterThan(20)
    await names.nth(2).focus()
    await page.keyboard.press('Space')
    expect(await names.nth(2).getAttribute('aria-pressed')).toBe('false')
    await expect.poll(() => pixelsOf(page, colors[2]!)).toBe(0)
    const box = (await plot.boundingBox())!
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2)
    await expect
      .poll(() => names.first().locator('.series-value').textContent())
      .toMatch(/^[\d.]+ (ns|µs|ms)$/)
    await page.context().close()
  })

  test('another theme means other colours, another width another canvas', async () => {
    const { page } = await openPage(browser, await reports.of('double-nat'), { hash: '#flow=1&view=charts' })
    const light = await legendColors(page)
    await page.locator('.head').getByText('Dark', { exact: true }).click()
    await expect.poll(() => legendColors(page)).not.toEqual(light)
    const dark = await legendColors(page)
    await expect.poll(() => pixelsOf(page, dark[0]!)).toBeGreaterThan(20)
    expect(await pixelsOf(page, light[0]!)).toBe(0)
    await page.setViewportSize({ width: 700, height: 900 })
    const widthOf = () => page.evaluate(() => document.querySelector('.plot canvas')!.clientWidth)
    await expect.poll(widthOf).toBeLessThan(700)
    await expect.poll(widthOf).toBeGreaterThan(500)
    await page.context().close()
  })

  test('many packets are put together in bins, and the spread of a hop can be seen', async () => {
    const { page, faults } = await openPage(browser, await reports.of('bulk-gso'), {
      hash: '#flow=4&view=charts',
    })
    await page.locator('.charts .switch label', { hasText: 'To the client' }).click()
    await expect.poll(() => page.locator('.charts').textContent()).toContain('Median of the packets in each')
    await page.locator('.charts').getByLabel('Show').selectOption({ label: 'the spread of server → lan' })
    const names = page.locator('.plot').first().locator('.series-legend button')
    await expect.poll(() => names.allTextContents()).toEqual(['least', 'median', '99 % within'])
    await page.locator('.charts .switch').getByText('Packets', { exact: true }).click()
    await page.locator('.charts').getByText('Throughput as a table').click()
    const rows = await tableRows(page, 'Throughput')
    const sum = (column: number) => rows.reduce((all, row) => all + Number(row[column]!.replace(',', '')), 0)
    expect([sum(1), sum(2)]).toEqual([25, 333])
    expect(faults).toEqual([])
    await page.context().close()
  })

  test('losses are told by where, and what has nothing to chart says so', async () => {
    const lossy = await openPage(browser, await reports.of('lossy-download'), { hash: '#flow=1&view=charts' })
    expect((await tableRows(lossy.page, 'Losses')).map((row) => row.slice(0, 2))).toEqual([
      ['✗ lost ← between uplink and bridge', '7'],
      ['↻ resent to the client', '11'],
    ])
    await lossy.page.context().close()
    const single = await openPage(browser, await reports.of('bulk-gso'), { hash: '#flow=1&view=charts' })
    expect(await single.page.locator('[role=tabpanel]').textContent()).toBe(
      'One packet: there is nothing to chart.',
    )
    await single.page.context().close()
  })

  test.each([
    ['light', 1440],
    ['dark', 360],
  ] as const)(
    '%s at %d px: accessible, and no wider than the window',
    async (theme, width) => {
      for (const name of ['double-nat', 'lossy-download', 'bulk-gso']) {
        const hash = name === 'bulk-gso' ? '#flow=4&view=charts' : '#flow=1&view=charts'
        const { page, faults } = await openPage(browser, await reports.of(name), { theme, width, hash })
        await page.waitForSelector('.plot canvas')
        for (const summary of await page.locator('.charts summary').all()) await summary.click()
        expect(await accessibilityFaults(page)).toEqual([])
        expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width)
        expect(faults).toEqual([])
        await page.context().close()
      }
    },
    180_000,
  )
})

/** The texts of the cells of the table in the section with this title. */
async function tableRows(page: Page, title: string): Promise<string[][]> {
  const section = page.locator('.charts').getByRole('region', { name: title })
  const rows = await section.locator('tbody tr').all()
  return await Promise.all(rows.map((row) => row.locator('th, td').allTextContents()))
}

/** Of the first chart, as `rgb(…)`. */
async function legendColors(page: Page): Promise<string[]> {
  await page.waitForSelector('.plot canvas')
  return await page.evaluate(() => {
    const samples = document.querySelector('.plot')!.querySelectorAll('.series-sample g')
    return [...samples].map((sample) => getComputedStyle(sample).color)
  })
}

/** How many pixels of the first chart have this colour. */
async function pixelsOf(page: Page, color: string): Promise<number> {
  return await page.evaluate((wanted) => {
    const canvas = document.querySelector<HTMLCanvasElement>('.plot canvas')!
    const { data } = canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height)
    const [red, green, blue] = wanted.match(/\d+/g)!.map(Number)
    let found = 0
    for (let i = 0; i < data.length; i += 4)
      if (data[i] === red && data[i + 1] === green && data[i + 2] === blue && data[i + 3] === 255) found++
    return found
  }, color)
}
