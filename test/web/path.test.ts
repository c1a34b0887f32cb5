/** The path in a browser: what it says is what the report says, on any screen, with any names. */

import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { renderEndpoint } from '../../src/report/endpoint.ts'
import type { Report } from '../../src/report/model.ts'
import { accessibilityFaults, canBrowse, openPage, Reports, startBrowser } from './browser.ts'

const CAPTURES = join(import.meta.dirname, '../../captures')
const SHIPPED = readdirSync(CAPTURES, { withFileTypes: true }).flatMap((entry) =>
  entry.isDirectory() ? entry.name : [],
)
/** Of reports with very many flows, so many are looked at. */
const MAX_FLOWS = 6

function reportOf(name: string): Report {
  return JSON.parse(readFileSync(join(CAPTURES, name, 'expected.json'), 'utf8'))
}

/** Text of all that match inside of the drawing that is shown, white space as one blank. */
async function texts(page: Page, selector: string): Promise<string[]> {
  const found = await page.locator(`.path-view .path-lane:not(.only-print) ${selector}`).allInnerTexts()
  return found.map((text) => text.replaceAll(/\s+/g, ' ').trim())
}

async function isTooWide(page: Page): Promise<boolean> {
  return await page.evaluate(() => document.documentElement.scrollWidth > innerWidth)
}

describe.skipIf(!canBrowse)('the path', () => {
  let browser: Browser
  const reports = new Reports()
  beforeAll(async () => {
    browser = await startBrowser()
  })
  afterAll(async () => {
    await browser?.close()
    reports.remove()
  })

  test.each(SHIPPED)('%s: its translations, TTLs and losses stand on the way', async (name) => {
    const path = await reports.make(join(CAPTURES, name))
    const { page, faults } = await openPage(browser, path)
    for (const flow of reportOf(name).flows.slice(0, MAX_FLOWS)) {
      await page.evaluate((id) => {
        location.hash = `#flow=${id}&view=ladder`
      }, flow.id)
      await page.getByRole('heading', { name: `Path of flow ${flow.id}` }).waitFor()
      for (const direction of ['forward', 'reverse'] as const) {
        const radio = page.getByRole('radio', {
          name: direction === 'forward' ? 'To the server' : 'To the client',
        })
        if (flow[direction].path.length === 0) {
          if (flow.forward.path.length + flow.reverse.path.length > 0)
            expect(await radio.isDisabled()).toBe(true)
          continue
        }
        await radio.check({ force: true })
        expect(await texts(page, '.station-values > :first-child')).toEqual(
          flow[direction].path.map(({ ttl }) => `TTL ${ttl}`),
        )
        const rewrites = await texts(page, ':is([data-stamp=snat], [data-stamp=dnat])')
        if (direction === 'forward')
          expect(rewrites.sort()).toEqual(
            flow.translations
              .map(({ kind, from, to }) =>
                [
                  kind.toUpperCase(),
                  renderEndpoint(from, flow.protocol),
                  '→',
                  renderEndpoint(to, flow.protocol),
                ].join(' '),
              )
              .sort(),
          )
        else for (const text of rewrites) expect(text).toContain(' undone ')
        const lost = flow.lost.filter((loss) => loss.direction === direction)
        expect(await texts(page, '[data-stamp=loss]')).toEqual(lost.map(({ packets }) => `✗ ${packets} lost`))
      }
    }
    expect(faults).toEqual([])
    await page.context().close()
  })

  test.each([
    [360, 'down'],
    [1440, 'across'],
    [1920, 'across'],
  ])('at %d px it goes %s, and nothing sticks out', async (width, layout) => {
    const path = await reports.make(join(CAPTURES, 'double-nat'))
    for (const theme of ['light', 'dark'] as const) {
      const { page, faults } = await openPage(browser, path, { width, theme })
      await page.locator(`.path-lane:not(.only-print) .path-frame.${layout}`).waitFor()
      expect(await isTooWide(page)).toBe(false)
      expect(
        await page
          .locator('.path-frame')
          .first()
          .evaluate((frame) => frame.scrollWidth > frame.clientWidth),
      ).toBe(false)
      expect(await accessibilityFaults(page)).toEqual([])
      expect(faults).toEqual([])
      await page.context().close()
    }
  })

  test('it turns as the window does, and prints both directions from top to bottom', async () => {
    const { page } = await openPage(browser, await reports.make(join(CAPTURES, 'double-nat')))
    const shown = page.locator('.path-lane:not(.only-print) .path-frame')
    await page.setViewportSize({ width: 500, height: 900 })
    await page.locator('.path-lane:not(.only-print) .path-frame.down').waitFor()
    await page.setViewportSize({ width: 1600, height: 900 })
    await page.locator('.path-lane:not(.only-print) .path-frame.across').waitFor()
    await page.emulateMedia({ media: 'print' })
    expect(await page.locator('.path-frame:visible').count()).toBe(2)
    const box = (await shown.boundingBox())!
    expect(box.height).toBeGreaterThan(300)
    await page.context().close()
  })

  test('very many points are scrolled, by keyboard too, and where there is room they are drawn larger', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'hoptrace-many-'))
    for (let i = 10; i < 40; i++)
      cpSync(join(CAPTURES, 'same-bridge/clientveth.pcap.gz'), join(folder, `veth${i}.pcap.gz`))
    cpSync(join(CAPTURES, 'same-bridge/client.pcap.gz'), join(folder, 'client.pcap.gz'))
    const { page, faults } = await openPage(browser, await reports.make(folder))
    rmSync(folder, { recursive: true })
    const frame = page.locator('.path-lane:not(.only-print) .path-frame.long')
    expect(await frame.locator('.station').count()).toBeGreaterThan(30)
    expect((await frame.boundingBox())!.height).toBeLessThan(800)
    await frame.focus()
    await page.keyboard.press('End')
    await expect.poll(() => frame.evaluate(({ scrollTop }) => scrollTop)).toBeGreaterThan(0)
    expect(await accessibilityFaults(page)).toEqual([])
    expect(faults).toEqual([])
    await page.context().close()
    const few = await openPage(browser, await reports.make(join(CAPTURES, 'forward-drop')), { width: 1920 })
    await few.page.locator('.path-lane:not(.only-print) .path-frame.large').waitFor()
    await few.page.context().close()
  })

  test('a way that was lost is marked in words, and what is behind it too', async () => {
    const { page } = await openPage(browser, await reports.make(join(CAPTURES, 'forward-drop')))
    const gap = page.locator('.path-lane:not(.only-print) .gap.lossy')
    expect(await gap.count()).toBe(1)
    expect(await gap.innerText()).toContain('3 lost')
    expect(await texts(page, '.unreached .station-name')).toEqual(['uplink', 'Server'])
    expect(await texts(page, '.unreached .station-detail')).toContain('never reached')
    await page.context().close()
  })

  test('a point that packets pass twice stands twice', async () => {
    const { page } = await openPage(browser, await reports.make(join(CAPTURES, 'bulk-gso')), {
      hash: '#flow=1',
    })
    await page.getByRole('heading', { name: 'Path of flow 1' }).waitFor()
    expect(await texts(page, '.station-name')).toEqual(['server', 'server (2nd time)'])
    await page.context().close()
  })

  test('points of any name keep their place', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'hoptrace-names-'))
    const names = ['<script>alert(1)</script>', 'שלום\u202e"\'&', 'x'.repeat(200)].map((name) =>
      name.replaceAll('/', '∕'),
    )
    for (const [i, point] of ['client', 'clientveth', 'bridge'].entries())
      cpSync(join(CAPTURES, 'same-bridge', `${point}.pcap.gz`), join(folder, `${names[i]}.pcap.gz`))
    const path = await reports.make(folder)
    rmSync(folder, { recursive: true })
    for (const width of [360, 1440]) {
      const { page, faults } = await openPage(browser, path, { width })
      expect((await texts(page, '.station-name'))[1]).toContain('<script>')
      expect(await page.locator('.path-view script').count()).toBe(0)
      const panel = (await page.locator('.path-view').boundingBox())!
      for (const box of await page.locator('.path-lane:not(.only-print) .group').all())
        expect((await box.boundingBox())!.width).toBeLessThanOrEqual(panel.width)
      expect(await accessibilityFaults(page)).toEqual([])
      expect(faults).toEqual([])
      await page.context().close()
    }
  })

  test('the direction is chosen by keyboard', async () => {
    const { page } = await openPage(browser, await reports.make(join(CAPTURES, 'double-nat')))
    await page.getByRole('radio', { name: 'To the server' }).focus()
    await page.keyboard.press('ArrowRight')
    expect(await texts(page, '.station-name')).toEqual([
      'server',
      'wan',
      'lan',
      'uplink',
      'bridge',
      'veth',
      'container',
    ])
    const client = (await page.locator('.path-lane:not(.only-print) .kind-container').last().boundingBox())!
    const server = (await page.locator('.path-lane:not(.only-print) .kind-container').first().boundingBox())!
    expect(client.x).toBeLessThan(server.x)
    await page.context().close()
  })
})
