/** The play in a browser: walked by keyboard, it says of every shipped capture what the report says. */

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Report, Station } from '../../src/report/model.ts'
import { accessibilityFaults, canBrowse, openPage, Reports, startBrowser } from './browser.ts'

const CAPTURES = join(import.meta.dirname, '../../captures')
const SHIPPED = readdirSync(CAPTURES, { withFileTypes: true }).flatMap((entry) =>
  entry.isDirectory() ? entry.name : [],
)
/** Flows of each capture that are walked through. */
const MAX_FLOWS = 2

function reportOf(name: string): Report {
  return JSON.parse(readFileSync(join(CAPTURES, name, 'expected.json'), 'utf8'))
}

async function stepOf(page: Page): Promise<[number, number]> {
  const text = await page.locator('.play-steps').innerText()
  const [step, steps] = text.match(/\d+/g)!.map(Number)
  return [step!, steps!]
}

/** Presses a key and waits until the step is this one. */
async function press(page: Page, key: string, step: number): Promise<void> {
  await page.keyboard.press(key)
  await page.locator('.play-steps', { hasText: new RegExp(`^Step ${step} of`) }).waitFor()
}

/** What the card says of the innermost packet: `{ source, TTL, 'source port', … }`, as it is now. */
async function cardOf(page: Page): Promise<Record<string, string>> {
  return await page.evaluate(() => {
    const found: Record<string, string> = {}
    for (const layer of document.querySelectorAll('.card-layer')) {
      if (!/^(inner )?(IPv4|IPv6|TCP|UDP)/.test(layer.querySelector('h4')!.textContent!)) continue
      for (const field of layer.querySelectorAll('.card-field'))
        found[field.getAttribute('data-field')!] = field.querySelector('ins bdi, .value')!.textContent!
    }
    return found
  })
}

function wanted({ src, dst, ttl }: Station, protocol: string): Record<string, string> {
  const ports = protocol === 'tcp' || protocol === 'udp'
  return {
    source: src.ip,
    destination: dst.ip,
    [src.ip.includes(':') ? 'hop limit' : 'TTL']: `${ttl}`,
    ...(ports ? { 'source port': `${src.port}`, 'destination port': `${dst.port}` } : {}),
  }
}

describe.skipIf(!canBrowse)('the play', () => {
  let browser: Browser
  const reports = new Reports()
  const open = async (name: string, hash: string, look = {}) =>
    await openPage(browser, await reports.make(join(CAPTURES, name)), { hash, ...look })
  beforeAll(async () => {
    browser = await startBrowser()
  })
  afterAll(async () => {
    await browser?.close()
    reports.remove()
  })

  test.each(SHIPPED)('%s: each station’s headers are those of the report', async (name) => {
    const { page, faults } = await open(name, '')
    let walked = 0
    for (const flow of reportOf(name).flows.slice(0, MAX_FLOWS)) {
      const direction = flow.forward.path.length > 0 ? 'forward' : 'reverse'
      const { path } = flow[direction]
      await page.evaluate((id) => {
        location.hash = `#flow=${id}&view=play&packet=1`
      }, flow.id)
      await page.locator('#flow-title', { hasText: `Flow ${flow.id} ` }).waitFor()
      await page.locator('.play').waitFor()
      await page.locator('.play').focus()
      expect(await page.locator('.play-which').getAttribute('class')).toContain(direction)
      await press(page, 'Home', 1)
      const [, steps] = await stepOf(page)
      // A station, a way between two, …, and the end.
      expect(steps).toBe(2 * path.length)
      for (const [i, station] of path.entries()) {
        if (i > 0) {
          await press(page, 'ArrowRight', 2 * i)
          const before = path[i - 1]!
          const ttl = page.locator('.card-field.tone-ttl.changed del bdi')
          expect(await ttl.allInnerTexts()).toEqual(before.ttl === station.ttl ? [] : [`${before.ttl}`])
          expect(await cardOf(page)).toMatchObject(wanted(station, flow.protocol))
          await press(page, 'ArrowRight', 2 * i + 1)
        }
        expect(await page.locator('.story h3').innerText()).toBe(`At ${station.point}`)
        expect(await page.locator('.play [aria-current=step] .station-name').innerText()).toContain(
          station.point,
        )
        expect(await cardOf(page)).toMatchObject(wanted(station, flow.protocol))
        expect(await page.locator('.card-field.changed').count()).toBe(0)
        walked++
      }
      await press(page, 'ArrowRight', steps)
      expect(await page.locator('.story .progress').innerText()).toBe('The end')
      expect(
        await page
          .locator('.play .gap.passed [data-stamp=snat], .play .gap.passed [data-stamp=dnat]')
          .count(),
      ).toBe(direction === 'forward' ? flow.translations.length : path.length > 1 ? 1 : 0)
    }
    expect(walked).toBeGreaterThan(0)
    expect(faults).toEqual([])
    await page.context().close()
  })

  test('a lost packet ends in the gap, with a cross and in words', async () => {
    const { page } = await open('forward-drop', '#flow=1&view=play')
    await page.keyboard.press('End')
    await page.locator('.token.dead').waitFor()
    expect(await page.locator('.story h3').innerText()).toBe('✕ Lost between bridge and uplink')
    const [token, cross] = await Promise.all([
      page.locator('.token').boundingBox(),
      page.locator('.play .gap.lossy .cross').boundingBox(),
    ])
    await expect
      .poll(async () => Math.abs((await page.locator('.token').boundingBox())!.x - cross!.x))
      .toBeLessThan(30)
    expect(token).not.toBeNull()
    await page.context().close()
  })

  test('the packet stands where it is at once, however the drawing turns', async () => {
    const { page } = await open('double-nat', '#flow=1&view=play&packet=2')
    await page.locator('.token').waitFor()
    for (const width of [1440, 500, 1900]) {
      await page.setViewportSize({ width, height: 900 })
      await page.locator(`.play .path-frame.${width < 600 ? 'down' : 'across'}`).waitFor()
      const away = await page.evaluate(async () => {
        await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))
        const middle = (selector: string) => {
          const { left, width } = document.querySelector(selector)!.getBoundingClientRect()
          return left + width / 2
        }
        return Math.abs(middle('.token') - middle('.play [aria-current=step] > .anchor'))
      })
      expect(away).toBeLessThan(3)
    }
    await page.context().close()
  })

  test('an ICMP error ends the way too, and says from whom', async () => {
    const { page } = await open('udp-and-ping', '#flow=4&view=play')
    await page.keyboard.press('End')
    await page.locator('.token.dead').waitFor()
    expect(await page.locator('.story h3').innerText()).toMatch(
      /^✕ Answered by 172\.17\.0\.1: time to live exceeded/,
    )
    await page.context().close()
  })

  test('what arrived leaves a mapping, as the kernel has it', async () => {
    const { page } = await open('double-nat', '#flow=1&view=play&packet=1')
    await page.keyboard.press('End')
    const entry = await page.locator('.entry').first().innerText()
    const tuples = entry.match(/(src|dst|sport|dport)=\S+/g)!
    expect(tuples).toHaveLength(8)
    const table = readFileSync(join(CAPTURES, 'double-nat/conntrack.host.txt'), 'utf8')
    expect(table.split('\n')[0]!.match(/(src|dst|sport|dport)=\S+/g)).toEqual(tuples)
    await page.context().close()
  })

  test('a point that is passed twice is stopped at twice', async () => {
    const { page } = await open('bulk-gso', '#flow=1&view=play')
    const titles = []
    for (let step = 1; step <= 3; step++) {
      titles.push(await page.locator('.story h3').innerText())
      await press(page, 'ArrowRight', step + 1)
    }
    expect(titles).toEqual(['At server', 'From server to server', 'At server'])
    await page.context().close()
  })

  test('it plays by itself, faster on demand, and pauses', async () => {
    const { page } = await open('double-nat', '#flow=1&view=play')
    await page.getByLabel('Speed').selectOption({ label: '4×' })
    await page.locator('.play').focus()
    await page.keyboard.press(' ')
    await page.getByRole('button', { name: 'Pause' }).waitFor()
    await page.locator('.play-steps', { hasText: 'Step 3 of' }).waitFor()
    await page.keyboard.press(' ')
    await page.getByRole('button', { name: 'Play', exact: true }).waitFor()
    const [paused] = await stepOf(page)
    await page.waitForTimeout(2500)
    expect((await stepOf(page))[0]).toBe(paused)
    await page.context().close()
  })

  test('at the end it stops, and begins anew', async () => {
    const { page } = await open('embedded-dns', '#flow=1&view=play')
    await page.getByLabel('Speed').selectOption({ label: '4×' })
    await page.getByRole('button', { name: 'Play', exact: true }).click()
    await page.locator('.play-steps', { hasText: 'Step 2 of 2' }).waitFor()
    await page.getByRole('button', { name: 'Play', exact: true }).click()
    await page.locator('.play-steps', { hasText: 'Step 1 of 2' }).waitFor()
    await page.context().close()
  })

  test('the address keeps the packet, and brings back the same', async () => {
    const { page } = await open('double-nat', '#flow=1&view=play')
    await press(page, 'ArrowRight', 2)
    await expect.poll(() => new URL(page.url()).hash).toBe('#flow=1&packet=1&view=play')
    await page.getByRole('button', { name: 'Next packet' }).click()
    await page.locator('.play-which', { hasText: 'Packet 2' }).waitFor()
    expect((await stepOf(page))[0]).toBe(1)
    await expect.poll(() => new URL(page.url()).hash).toBe('#flow=1&packet=2&view=play')
    await page.reload()
    await page.locator('.play-which.reverse', { hasText: 'Packet 2' }).waitFor()
    await page.getByRole('button', { name: 'Previous packet' }).click()
    await page.locator('.play-which.forward', { hasText: 'Packet 1' }).waitFor()
    await page.context().close()
  })

  test('keys go to who has the focus: fields of text, choices and tabs keep theirs', async () => {
    const { page } = await open('double-nat', '#flow=1&view=ladder')
    await page.getByRole('tab', { name: 'Play' }).click()
    // By mouse: on at once.
    await press(page, 'ArrowRight', 2)
    await page.evaluate(() =>
      document.body.prepend(Object.assign(document.createElement('input'), { id: 'field' })),
    )
    await page.locator('#field').focus()
    for (const key of ['ArrowRight', ' ', 'Home', 'End', 'ArrowLeft']) await page.keyboard.press(key)
    await page.getByLabel('Speed').focus()
    await page.keyboard.press('ArrowRight')
    expect((await stepOf(page))[0]).toBe(2)
    expect(await page.getByRole('button', { name: 'Play', exact: true }).count()).toBe(1)
    await page.getByRole('tab', { name: 'Play' }).focus()
    await page.keyboard.press('ArrowRight')
    expect(await page.getByRole('tab', { name: 'Charts' }).getAttribute('aria-selected')).toBe('true')
    // By keyboard: the focus stays in the tabs, and space plays.
    await page.keyboard.press('ArrowLeft')
    await page.locator('.play').waitFor()
    expect(await page.evaluate(() => document.activeElement!.id)).toBe('tab-play')
    await page.keyboard.press(' ')
    await page.getByRole('button', { name: 'Pause' }).waitFor()
    await page.context().close()
  })

  test('on paper there are no buttons', async () => {
    const { page } = await open('double-nat', '#flow=1&view=play', { width: 700 })
    expect(await page.locator('.play button:visible').count()).toBeGreaterThan(5)
    await page.emulateMedia({ media: 'print' })
    expect(await page.locator('.play button:visible').count()).toBe(0)
    expect(await page.locator('.story h3:visible').count()).toBe(1)
    await page.context().close()
  })

  test('each step is announced', async () => {
    const { page } = await open('double-nat', '#flow=1&view=play&packet=1')
    for (let step = 2; step <= 6; step++) await press(page, 'ArrowRight', step)
    const live = page.locator('.story [aria-live=polite]')
    expect(await live.innerText()).toMatch(/Between stations 3 and 4 of 7\s+From bridge to uplink[\s\S]*SNAT/)
    await page.context().close()
  })

  test('with reduced motion nothing moves', async () => {
    const { page } = await open('double-nat', '#flow=1&view=play&packet=1')
    const moving = async () => {
      for (let step = 2; step <= 6; step++) await press(page, 'ArrowRight', step)
      return await page.evaluate(() => [
        document.getAnimations().length > 0,
        getComputedStyle(document.querySelector('.token')!).transitionDuration !== '0s',
      ])
    }
    expect((await moving())[1]).toBe(true)
    await press(page, 'Home', 1)
    await page.emulateMedia({ reducedMotion: 'reduce' })
    expect(await moving()).toEqual([false, false])
    await page.context().close()
  })

  test.each([
    [360, 'light'],
    [1440, 'dark'],
    [1920, 'light'],
  ] as const)('at %d px in %s it is accessible, and nothing sticks out', async (width, theme) => {
    const { page, faults } = await open('double-nat', '#flow=1&view=play&packet=1', { width, theme })
    for (const step of [1, 6, 14]) {
      while ((await stepOf(page))[0] < step) await page.keyboard.press('ArrowRight')
      await page.evaluate(() => Promise.all(document.getAnimations().map(({ finished }) => finished)))
      expect(await accessibilityFaults(page)).toEqual([])
      expect(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth)).toBe(false)
    }
    const size = await page
      .locator('.story .step')
      .first()
      .evaluate((step) => Number.parseFloat(getComputedStyle(step).fontSize))
    expect(size).toBeGreaterThanOrEqual(width === 1920 ? 22 : 15)
    expect(faults).toEqual([])
    await page.context().close()
  })
})
