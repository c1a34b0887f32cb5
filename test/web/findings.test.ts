/** Findings in a real browser: each leads to its packets; very many of them; and what the report stands on. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Report } from '../../src/report/model.ts'
import { hoptrace } from '../commands/program.ts'
import { accessibilityFaults, canBrowse, openPage, Reports, startBrowser } from './browser.ts'
import { EMPTY, writePage } from './made-page.ts'

const CAPTURES = join(import.meta.dirname, '../../captures')

interface Line {
  flow: number
  outcome: string
  retransmission: boolean
  sightings: { point: string; frames: number[] }[]
}

const selected = (page: Page) => new URLSearchParams(new URL(page.url()).hash.slice(1))
const item = (page: Page, code: string) =>
  page.locator('.finding', { has: page.getByText(code, { exact: true }) })

describe.skipIf(!canBrowse)('findings', () => {
  let browser: Browser
  let folder: string
  const reports = new Reports()
  beforeAll(async () => {
    browser = await startBrowser()
    folder = mkdtempSync(join(tmpdir(), 'hoptrace-findings-'))
  })
  afterAll(async () => {
    await browser?.close()
    reports.remove()
    rmSync(folder, { recursive: true, force: true })
  })

  test('of a lossy download lead to the packets that --journeys says were lost, one after the other', async () => {
    const input = join(CAPTURES, 'lossy-download')
    const { stdout } = await hoptrace('analyze', '--journeys', '-', input)
    const lines = stdout
      .split('\n')
      .flatMap((line): Line[] => (line.startsWith('{"flow"') ? [JSON.parse(line)] : []))
    const numbersOf = (test: (line: Line) => boolean) =>
      lines.flatMap((line, i) => (test(line) ? [i + 1] : []))
    const lost = numbersOf(({ outcome }) => outcome === 'lost')
    expect(lost.length).toBeGreaterThan(1)
    const { page, faults } = await openPage(browser, await reports.make(input))
    const dropped = item(page, 'dropped-between-points')
    await dropped.getByRole('button', { name: /^Show its packets/ }).click()
    await dropped.getByText(`, 1 of ${lost.length}`).waitFor()
    await expect.poll(() => selected(page).get('packet')).toBe(String(lost[0]))
    await expect.poll(() => selected(page).get('view')).toBe('packet')
    for (const number of lost.slice(1)) {
      await dropped.getByRole('button', { name: /^Next packet/ }).click()
      await expect.poll(() => selected(page).get('packet')).toBe(String(number))
    }
    await dropped.getByRole('button', { name: `Packet ${lost[1]}`, exact: true }).click()
    await expect.poll(() => selected(page).get('packet')).toBe(String(lost[1]))
    expect(await dropped.locator('[aria-current]').textContent()).toBe(String(lost[1]))
    expect(await accessibilityFaults(page)).toEqual([])

    const again = item(page, 'retransmissions')
    await again.getByRole('button', { name: /^Show its packets/ }).click()
    const resent = numbersOf(({ retransmission }) => retransmission)
    await again.getByText(`, 1 of ${resent.length}`).waitFor()
    await expect.poll(() => selected(page).get('packet')).toBe(String(resent[0]))
    expect(faults).toEqual([])
    await page.context().close()
  })

  test('show the severity in a word, the causes, and commands that can be copied', async () => {
    const { page } = await openPage(browser, await reports.make(join(CAPTURES, 'lossy-download')))
    const panel = page.getByRole('region', { name: 'Findings' })
    expect(await panel.getByRole('heading', { level: 3 }).allTextContents()).toEqual([
      'Error',
      'Warning',
      'Notes',
    ])
    const { stdout } = await hoptrace('analyze', '--json', join(CAPTURES, 'lossy-download'))
    const { findings } = JSON.parse(stdout) as Report
    const [error] = findings.filter(({ code }) => code === 'dropped-between-points')
    const dropped = item(page, 'dropped-between-points')
    expect(await dropped.locator('.finding-summary').textContent()).toBe(error!.summary)
    await dropped.getByText('more possible causes').click()
    expect(await dropped.locator('code').allTextContents()).toEqual(error!.causes!.map(({ check }) => check))
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write'])
    await dropped.getByRole('button', { name: /^Copy/ }).first().click()
    const copied = dropped.getByText('copied', { exact: true })
    const marked = () => page.evaluate(() => getSelection()!.toString())
    await expect
      .poll(async () => (await copied.count()) > 0 || (await marked()) === error!.causes![0]!.check)
      .toBe(true)
    const whole = item(page, 'checksum-offload')
    expect(await whole.textContent()).toContain('whole capture')
    expect(await whole.getByRole('button').count()).toBe(0)
    await page.context().close()
  })

  test('lead to another flow, whose row is then the selected one', async () => {
    const { page } = await openPage(browser, await reports.make(join(CAPTURES, 'udp-and-ping')))
    await item(page, 'ttl-expired').getByRole('button', { name: 'flow 4' }).click()
    await expect.poll(() => selected(page).get('flow')).toBe('4')
    expect(await page.locator('.grid-body [aria-selected=true] .cell-id').textContent()).toBe('4')
    await item(page, 'connection-refused')
      .getByRole('button', { name: /^Show its packets/ })
      .click()
    await expect.poll(() => selected(page).get('packet')).toBe('1')
    await expect.poll(() => selected(page).get('flow')).toBe('3')
    await page.context().close()
  })

  test('of thousands, the first are shown, and more when asked for', async () => {
    const path = join(folder, 'many.html')
    const findings = Array.from({ length: 5000 }, (_, i) => ({
      code: 'no-reply',
      severity: 'error' as const,
      flow: null,
      summary: `number ${i}`,
      evidence: {},
    }))
    await writePage(path, { ...EMPTY, findings })
    const { page, faults } = await openPage(browser, path)
    const shown = page.locator('.finding')
    expect(await shown.count()).toBeLessThanOrEqual(100)
    const before = await shown.count()
    await page.getByRole('button', { name: 'Show 100 more' }).click()
    expect(await shown.count()).toBe(before + 100)
    expect(await page.getByText('5,000 errors').count()).toBeGreaterThan(0)
    expect(faults).toEqual([])
    await page.context().close()
  })

  test('and the report stand on points, expectations, odd input and receipts, which are told', async () => {
    const path = join(folder, 'about.html')
    const { stdout } = await hoptrace('analyze', '--json', join(CAPTURES, 'same-bridge'))
    const report = JSON.parse(stdout) as Report
    const [first, ...others] = report.points
    await writePage(path, {
      ...report,
      points: [
        {
          ...first!,
          captureDrops: 12,
          clock: { offsetNs: -3.2e9, skewPpm: 12, uncertaintyNs: 41_000, reference: 'uplink' },
        },
        ...others,
      ],
      warnings: ['a.pcap: cut off at byte 1234'],
      notJoined: [{ reason: 'fragment', point: first!.name, packets: 7 }],
      expectations: [
        { expression: 'flows = 1', holds: true, evidence: '1 flow' },
        { expression: 'lost > 0', holds: false, evidence: 'nothing was lost' },
      ],
    })
    const { page, faults } = await openPage(browser, path)
    const about = page.getByRole('region', { name: 'About this capture' })
    const text = (await about.textContent())!
    for (const told of [
      '▲ 12',
      '3.20 s behind uplink, ±41.0 µs, 12 ppm fast',
      'cut off at byte 1234',
      `fragment ${first!.name} 7`,
      '✓ holds flows = 1',
      '✗ does not hold lost > 0',
    ])
      expect(text).toContain(told)
    expect(await page.locator('header').first().textContent()).toContain('1 expectation not met')
    expect(await about.locator('tbody tr').count()).toBe(report.points.length)
    expect(await accessibilityFaults(page)).toEqual([])
    expect(faults).toEqual([])
    await page.context().close()
  })
})
