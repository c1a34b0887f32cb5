import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hoptrace } from '../commands/program.ts'
import { accessibilityFaults, canBrowse, type Look, openPage, Reports, startBrowser } from './browser.ts'
import { writeLongFlowPage } from './long-flow.ts'

const CAPTURES = join(import.meta.dirname, '../../captures')
const LONG = 100_000

/** How many of the ladder's pixels have this colour of the style, or nearly so. */
function pixelsOf(page: Page, token: string): Promise<number> {
  return page.evaluate((name) => {
    const probe = document.body.appendChild(document.createElement('span'))
    probe.style.color = `var(${name})`
    const wanted = getComputedStyle(probe).color.match(/\d+/g)!.map(Number)
    probe.remove()
    const canvas = document.querySelector<HTMLCanvasElement>('.ladder-canvas canvas')!
    // Read from a copy: Chromium complains about canvases that are read often.
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', {
      willReadFrequently: true,
    })!
    copy.drawImage(canvas, 0, 0)
    const { data } = copy.getImageData(0, 0, canvas.width, canvas.height)
    let count = 0
    for (let i = 0; i < data.length; i += 4)
      if (wanted.every((value, k) => Math.abs(value - data[i + k]!) < 24)) count++
    return count
  }, token)
}

/** Two frames later everything is drawn. */
async function drawn(page: Page): Promise<void> {
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))))
}

/** What is shown, ns from the flow's start, as the brush says it. */
async function shownTimes(page: Page): Promise<[number, number]> {
  await drawn(page)
  const values = await page
    .getByRole('slider')
    .evaluateAll((edges) => edges.map((edge) => Number(edge.getAttribute('aria-valuenow'))))
  return values as [number, number]
}

describe.skipIf(!canBrowse)('the ladder', () => {
  let browser: Browser
  const reports = new Reports()
  const folder = mkdtempSync(join(tmpdir(), 'hoptrace-ladder-'))
  const long = join(folder, 'long.html')
  beforeAll(async () => {
    browser = await startBrowser()
    await writeLongFlowPage(long, LONG)
  })
  afterAll(async () => {
    await browser?.close()
    reports.remove()
    rmSync(folder, { recursive: true, force: true })
  })

  async function open(path: string, look: Look = {}) {
    const opened = await openPage(browser, path, { hash: '#flow=1&view=ladder', ...look })
    await opened.page.waitForSelector('.ladder-canvas')
    await drawn(opened.page)
    return opened
  }
  const ladderOf = (page: Page) => page.getByRole('application', { name: /^Ladder of flow/ })
  const listOf = (page: Page) => page.getByRole('listbox', { name: /^Packets of flow/ })

  test.each(['forward-drop', 'lossy-download', 'udp-and-ping', 'double-nat'])(
    '%s: draws arrows of both directions, and losses where there are some; its list says the same',
    async (name) => {
      const { stdout } = await hoptrace('analyze', join(CAPTURES, name), '--journeys', '-')
      const journeys = stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line))
        .filter(({ flow }) => flow === 1)
      const has = (what: (journey: (typeof journeys)[number]) => boolean) => journeys.some(what)
      const { page, faults } = await open(await reports.make(join(CAPTURES, name)))
      const isRed = has(({ outcome }) => outcome === 'lost' || outcome === 'answered')
      expect((await pixelsOf(page, '--forward')) > 300).toBe(has(({ direction }) => direction === 'forward'))
      expect((await pixelsOf(page, '--reverse')) > 300).toBe(has(({ direction }) => direction === 'reverse'))
      expect((await pixelsOf(page, '--loss')) > 20).toBe(isRed)
      const options = await listOf(page).getByRole('option').allInnerTexts()
      expect(options.length).toBeGreaterThan(Math.min(journeys.length, 10) - 1)
      for (const [i, text] of options.entries()) {
        const { summary, direction, outcome, retransmission } = journeys[i]
        const words = text.replaceAll(/\s+/g, ' ')
        expect(words).toContain(summary)
        expect(words).toContain(direction === 'forward' ? '→' : '←')
        expect(words.includes('✗ lost')).toBe(outcome === 'lost')
        expect(words.includes('↻ resent')).toBe(retransmission)
      }
      expect(faults).toEqual([])
      await page.context().close()
    },
  )

  test('keys go from packet to packet, on the drawing and in the list, and Enter opens one', async () => {
    const { page, faults } = await open(await reports.make(join(CAPTURES, 'lossy-download')))
    await ladderOf(page).focus()
    await page.keyboard.press('ArrowDown')
    await expect.poll(() => page.url()).toContain('packet=1')
    for (let i = 0; i < 6; i++) await page.keyboard.press('ArrowDown')
    await expect.poll(() => page.url()).toContain('packet=7')
    await expect
      .poll(() => page.locator('.ladder [aria-live=polite]').innerText())
      .toMatch(/^Packet 7 · .*✗ lost between uplink and bridge$/)
    expect(await listOf(page).locator('[aria-selected=true] .number').innerText()).toBe('7')
    expect(await pixelsOf(page, '--accent-soft')).toBeGreaterThan(1000)
    await page.keyboard.press('End')
    await expect.poll(() => page.url()).toContain('packet=63')
    // The last one is in sight, on both sides.
    expect((await shownTimes(page))[1]).toBeGreaterThan(400e6)
    await expect.poll(() => listOf(page).locator('[aria-selected=true] .number').innerText()).toBe('63')
    await listOf(page).focus()
    await page.keyboard.press('ArrowUp')
    await expect.poll(() => page.url()).toContain('packet=62')
    const active = await listOf(page).getAttribute('aria-activedescendant')
    expect(await page.locator(`#${active} .number`).innerText()).toBe('62')
    await page.keyboard.press('Enter')
    await expect.poll(() => page.url()).toContain('view=packet')
    expect(faults).toEqual([])
    await page.context().close()
  })

  test('zooms by keys, buttons and Ctrl with the wheel around the pointer, moves by wheel and drag', async () => {
    const { page, faults } = await open(await reports.make(join(CAPTURES, 'lossy-download')))
    await page.getByText('Real time').click()
    await ladderOf(page).focus()
    await page.keyboard.press('0')
    const whole = await shownTimes(page)
    const span = ([from, to]: [number, number]) => to - from
    await page.keyboard.press('+')
    const closer = await shownTimes(page)
    expect(span(closer) / span(whole)).toBeCloseTo(1 / 1.5, 2)
    await page.keyboard.press('-')
    expect(await shownTimes(page)).toEqual(whole)
    await page.getByRole('button', { name: 'Zoom in' }).click()
    expect(await shownTimes(page)).toEqual(closer)
    await page.getByRole('button', { name: 'Whole flow' }).click()
    expect(await shownTimes(page)).toEqual(whole)

    const box = (await ladderOf(page).boundingBox())!
    const pointer = { x: box.x + 200, y: box.y + box.height * 0.25 }
    await page.mouse.move(pointer.x, pointer.y)
    await page.keyboard.down('Control')
    await page.mouse.wheel(0, -100)
    await page.keyboard.up('Control')
    const wheeled = await shownTimes(page)
    expect(span(wheeled)).toBeLessThan(span(whole) * 0.8)
    const under = ([from, to]: [number, number]) => from + (to - from) * 0.25
    expect(Math.abs(under(wheeled) - under(whole))).toBeLessThan(span(whole) * 0.01)
    await page.mouse.wheel(0, 50)
    const down = await shownTimes(page)
    expect(down[0]).toBeGreaterThan(wheeled[0])
    expect(span(down)).toBeCloseTo(span(wheeled), -3)
    await page.mouse.down()
    await page.mouse.move(pointer.x, pointer.y + 40, { steps: 4 })
    await page.mouse.up()
    expect((await shownTimes(page))[0]).toBeLessThan(down[0])
    // A drag is no click.
    await expect.poll(() => page.url()).not.toContain('packet=')
    expect(faults).toEqual([])
    await page.context().close()
  })

  test('a click selects the packet under it, a second one opens it; pointing at one tells of it', async () => {
    const { page } = await open(await reports.make(join(CAPTURES, 'forward-drop')))
    const box = (await ladderOf(page).boundingBox())!
    const middle = (row: number) => ({ x: box.width / 2, y: (row + 0.5) * (box.height / 3) })
    await ladderOf(page).hover({ position: middle(1) })
    await expect.poll(() => page.locator('.ladder-detail').innerText()).toMatch(/^Packet 2 · 1\.027665 s/)
    await ladderOf(page).click({ position: middle(2) })
    await expect.poll(() => page.url()).toContain('packet=3')
    await ladderOf(page).dblclick({ position: middle(0) })
    await expect.poll(() => page.url()).toContain('packet=1')
    await expect.poll(() => page.url()).toContain('view=packet')
    await page.context().close()
  })

  test('100,000 packets: brush by drag and keys, density from afar, single packets from near', async () => {
    const { page, faults } = await open(long)
    const all = 100_000 * 130_000
    // They can be looked at while they are unpacked; here all of them are wanted.
    await page.locator('.ladder-legend', { hasNotText: 'so far' }).waitFor({ timeout: 120_000 })
    await ladderOf(page).focus()
    await page.keyboard.press('0')
    await drawn(page)
    expect(await page.locator('.ladder-legend').innerText()).toContain('Too many for arrows')
    expect(await pixelsOf(page, '--loss')).toBeGreaterThan(200)
    await page.getByText('Real time').click()

    const strip = (await page.locator('.ladder-overview').boundingBox())!
    const x = strip.x + 4
    // A new part, outside of the one that is shown: first make that small.
    const first = page.getByRole('slider', { name: 'Shown until' })
    await first.focus()
    for (let i = 0; i < 18; i++) await page.keyboard.press('Shift+ArrowUp')
    await expect.poll(async () => (await shownTimes(page))[1]).toBeLessThan(all * 0.1)
    await page.mouse.move(x, strip.y + strip.height * 0.5)
    await page.mouse.down()
    await page.mouse.move(x, strip.y + strip.height * 0.6, { steps: 5 })
    await page.mouse.up()
    const brushed = await shownTimes(page)
    expect(brushed[0] / all).toBeCloseTo(0.5, 1)
    expect(brushed[1] / all).toBeCloseTo(0.6, 1)
    // Its edge, further down.
    await page.mouse.move(x, strip.y + strip.height * 0.6)
    await page.mouse.down()
    await page.mouse.move(x, strip.y + strip.height * 0.8, { steps: 5 })
    await page.mouse.up()
    const wider = await shownTimes(page)
    expect(wider[1] / all).toBeCloseTo(0.8, 1)
    expect(wider[0]).toBe(brushed[0])
    await page.getByRole('slider', { name: 'Shown from' }).focus()
    await page.keyboard.press('ArrowDown')
    expect((await shownTimes(page))[0]).toBeGreaterThan(wider[0])

    await page.getByText('Even rows').click()
    await ladderOf(page).focus()
    await page.keyboard.press('End')
    await expect.poll(() => page.url()).toContain('packet=100000')
    for (let i = 0; i < 30; i++) await page.keyboard.press('+')
    await drawn(page)
    expect(await page.locator('.ladder-legend').innerText()).not.toContain('Too many')
    await expect.poll(() => listOf(page).locator('[aria-selected=true] .number').innerText()).toBe('100000')
    // Only what is in sight is built.
    expect(await listOf(page).getByRole('option').count()).toBeLessThan(80)
    expect(faults).toEqual([])
    await page.context().close()
  })

  test('says how many of its packets the page has', async () => {
    const path = join(folder, 'part.html')
    await writeLongFlowPage(path, 200, 1300)
    const { page } = await open(path)
    expect(await page.locator('.ladder-legend').innerText()).toContain(
      '200 of 1,500 packets are on this page',
    )
    await page.context().close()
  })

  test.each([
    { width: 360, height: 800, theme: 'light' },
    { width: 1920, height: 1080, theme: 'dark' },
  ] as const)('is accessible and fits at $width px, $theme', async (look) => {
    const path = await reports.make(join(CAPTURES, 'double-nat'))
    const { page, faults } = await open(path, { ...look, hash: '#flow=1&packet=4&view=ladder' })
    expect(await accessibilityFaults(page)).toEqual([])
    const overflow = await page.evaluate(
      () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
    )
    expect(overflow).toBeLessThanOrEqual(0)
    expect(await pixelsOf(page, '--forward')).toBeGreaterThan(300)
    expect(faults).toEqual([])
    await page.context().close()
  })

  test('is redrawn in light colours for paper, and not cut off there', async () => {
    const { page } = await open(await reports.make(join(CAPTURES, 'double-nat')), { theme: 'dark' })
    const brightness = () =>
      page.evaluate(() => {
        const canvas = document.querySelector<HTMLCanvasElement>('.ladder-canvas canvas')!
        const copy = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true })!
        copy.drawImage(canvas, -2, -2)
        return copy.getImageData(0, 0, 1, 1).data[0]!
      })
    expect(await brightness()).toBeLessThan(60)
    await page.emulateMedia({ media: 'print' })
    await page.setViewportSize({ width: 720, height: 1000 })
    await expect.poll(brightness).toBeGreaterThan(240)
    const [canvas, panel] = await Promise.all([
      page.locator('.ladder-canvas canvas').boundingBox(),
      page.locator('.flow').boundingBox(),
    ])
    expect(canvas!.x + canvas!.width).toBeLessThanOrEqual(panel!.x + panel!.width)
    const lines = await listOf(page).getByRole('option').count()
    expect(lines).toBe(13)
    expect((await page.locator('.ladder-packets .scroller').boundingBox())!.height).toBeGreaterThan(
      lines * 20,
    )
    await page.context().close()
  })
})
