import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { accessibilityFaults, canBrowse, openPage, Reports, startBrowser } from './browser.ts'

const CAPTURES = join(import.meta.dirname, '../../captures')
const SHIPPED = readdirSync(CAPTURES, { withFileTypes: true }).flatMap((entry) =>
  entry.isDirectory() ? entry.name : [],
)

describe.skipIf(!canBrowse)('the page', () => {
  let browser: Browser
  const reports = new Reports()
  beforeAll(async () => {
    browser = await startBrowser()
  })
  afterAll(async () => {
    await browser?.close()
    reports.remove()
  })

  test.each(SHIPPED)('%s is drawn without an error, asks for nothing, and is accessible', async (name) => {
    const path = await reports.make(join(CAPTURES, name))
    for (const theme of ['light', 'dark'] as const) {
      const { page, faults } = await openPage(browser, path, { theme })
      expect(await page.title()).toMatch(/ · hoptrace$/)
      expect(await accessibilityFaults(page)).toEqual([])
      expect(faults).toEqual([])
      await page.context().close()
    }
  })

  test('is less than 400 kB without its data', async () => {
    const page = readFileSync(await reports.make(join(CAPTURES, 'same-bridge')), 'utf8')
    const without = page.replaceAll(/<script type="application\/x-hoptrace"[^>]*>[^<]*<\/script>/g, '')
    expect(without.length).toBeLessThan(page.length)
    expect(Buffer.byteLength(without)).toBeLessThan(400_000)
  })
})
