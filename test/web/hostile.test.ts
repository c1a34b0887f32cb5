/** Captures that attack whoever looks at them: all text in them is text on the page, and the page's policy holds. */

import { readFileSync } from 'node:fs'
import { join as path } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Blocks, join } from '../capture/bytes.ts'
import { shippedBytes, temporaryFolder } from '../capture/reading.ts'
import { recordsOf } from '../commands/program.ts'
import { pageContent } from '../page/page-content.ts'
import { canBrowse, type Look, openPage, Reports, startBrowser } from './browser.ts'

const CAPTURES = path(import.meta.dirname, '../../captures')
const SCRIPT = 'window.__pwned=1'
const ATTACKS = {
  script: `<script>${SCRIPT}</script>`,
  'the end of a script': `</script><script>${SCRIPT}</script><!--`,
  'a comment in a script': `<!--<script>${SCRIPT}`,
  'an image': `<img src=x onerror=${SCRIPT}>"'><svg onload=${SCRIPT}>`,
  quotes: `"'\`\${${SCRIPT}}\\" onfocus=${SCRIPT} autofocus x='`,
  'a link': `javascript:${SCRIPT}//`,
  'other directions': '\u202egpj.exe\u2066\u061c\u200f עברית \u202a',
  controls: 'a\0b\x1b[2J\x1b]0;title\x07\r\n\u2028\u0085',
  'invalid UTF-8': Uint8Array.of(0xed, 0xa0, 0x80, 0xff, 0xfe, 0xc0, 0xaf, 0x41),
  'no end': 'A'.repeat(10_000),
  'no end, wide': '漢'.repeat(3_000),
  'a prototype': '__proto__',
  'what every object has': 'constructor',
}
const VIEWS = ['ladder', 'packet', 'play', 'charts']

/** The first flow of a shipped capture, and a DNS question, at two interfaces; `text` stands wherever text can stand. */
function hostileCapture(text: string | Uint8Array): Uint8Array {
  const blocks = new Blocks()
  const bytes = typeof text === 'string' ? new TextEncoder().encode(text) : text
  const options = (...codes: number[]) => codes.map((code) => blocks.option(code, bytes))
  const points = ['container', 'uplink'].map(
    (name) => recordsOf(shippedBytes(`outbound-masquerade/${name}`)).records,
  )
  const nameOf = (...address: number[]) => {
    const value = join(Uint8Array.of(...address), bytes, Uint8Array.of(0))
    return join(blocks.fields([2, 1], [2, value.length]), blocks.padded(value))
  }
  const packets = points.flatMap((records, point) =>
    records.map((record) => {
      const view = new DataView(record.buffer, record.byteOffset)
      const microseconds =
        BigInt(view.getUint32(0, true)) * 1_000_000n + BigInt((view.getUint32(4, true) / 1000) | 0)
      return { microseconds, block: blocks.packet(point, microseconds, record.subarray(16), options(1)) }
    }),
  )
  packets.sort((a, b) => Number(a.microseconds - b.microseconds))
  return join(
    blocks.section(...options(1, 2, 3, 4)),
    blocks.interface(options(1, 2, 3, 12, 15)),
    blocks.interface([...options(1, 3), blocks.option(2, join(bytes, Uint8Array.of(0x32)))]),
    blocks.names(nameOf(172, 17, 0, 3), nameOf(203, 0, 113, 238)),
    ...packets.map(({ block }) => block),
    blocks.packet(0, packets.at(-1)!.microseconds, dnsFrame(bytes), options(1)),
    blocks.statistics(0, ...options(1)),
  )
}

/** A question for a name whose one label begins with these bytes, as an Ethernet frame. */
function dnsFrame(label: Uint8Array): Uint8Array {
  const name = label.subarray(0, 63)
  const dns = Uint8Array.of(0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, name.length, ...name, 0, 0, 1, 0, 1)
  const frame = new Uint8Array(42 + dns.length)
  const view = new DataView(frame.buffer)
  frame.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0])
  view.setUint16(16, 28 + dns.length)
  frame.set([0, 9, 0, 0, 64, 17, 0, 0, 172, 17, 0, 3, 10, 0, 0, 53, 0x9c, 0x40, 0, 53], 18)
  view.setUint16(38, 8 + dns.length)
  frame.set(dns, 42)
  return frame
}

const folder = temporaryFolder()

describe.skipIf(!canBrowse)('a hostile capture', () => {
  let browser: Browser
  const reports = new Reports()
  beforeAll(async () => {
    browser = await startBrowser()
  })
  afterAll(async () => {
    await browser?.close()
    reports.remove()
  })

  const LOOKS: Look[] = [{ width: 1440 }, { width: 360, height: 740, theme: 'dark' }]

  test.each(Object.entries(ATTACKS))('with %s wherever text can stand', async (name, text) => {
    const file = folder.write(`${name}.pcapng`, hostileCapture(text))
    // No argument of a program holds a NUL, and a shell hands over no lone surrogate.
    const title = typeof text === 'string' ? text.replaceAll('\0', '') : 'x'
    const report = await reports.make(file, '--title', title)
    const { report: told, packets } = pageContent(readFileSync(report, 'utf8'))
    expect(told.points).toHaveLength(2)
    expect(told.flows.map(({ protocol, dnsNames }) => [protocol, dnsNames.length])).toEqual([
      ['tcp', 0],
      ['tcp', 0],
      ['udp', 1],
    ])
    expect(Object.values(told.names ?? {}).length).toBeGreaterThan(0)
    // The text stands for the points themselves, in every packet.
    expect(packets[0]!.sightings.map(({ point }) => point)).toEqual(told.path)
    expect(packets[0]!.bytes.flat()).toHaveLength(2)
    for (const look of LOOKS) {
      const { page, faults } = await openPage(browser, report, look)
      let dialogs = 0
      page.on('dialog', async (dialog) => {
        dialogs++
        await dialog.dismiss()
      })
      for (const view of VIEWS) {
        await page.evaluate((hash) => location.assign(hash), `#flow=1&packet=1&view=${view}`)
        await page.waitForTimeout(100)
        expect(await widthOver(page)).toBeLessThanOrEqual(0)
      }
      expect(await page.evaluate(() => (window as unknown as { __pwned?: number }).__pwned)).toBeUndefined()
      expect(await strangeElements(page)).toEqual([])
      expect(dialogs).toBe(0)
      expect(faults).toEqual([])
      expect(await page.title()).toMatch(/^[^\p{C}\p{Zl}\p{Zp}]{1,420} · hoptrace$/u)
      expect(await page.evaluate(() => document.body.innerText)).not.toMatch(HIDDEN)
      if (title.startsWith('<script>'))
        expect(await page.evaluate(() => document.querySelector('h1')!.textContent)).toContain(title)
      await page.context().close()
    }
  })

  test('the policy: no script but the page’s own runs, and nothing is asked for', async () => {
    const report = await reports.make(path(CAPTURES, 'same-bridge'))
    const { page } = await openPage(browser, report)
    const blocked = await page.evaluate(async (code) => {
      const violated: string[] = []
      document.addEventListener('securitypolicyviolation', ({ effectiveDirective }) => {
        violated.push(effectiveDirective)
      })
      const add = (tag: string, attributes: Record<string, string>, text = '') => {
        const element = document.createElement(tag)
        for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
        element.textContent = text
        document.body.append(element)
        return element
      }
      add('script', {}, code)
      add('script', { src: 'http://127.0.0.1:9/x.js' })
      add('script', { src: 'data:text/javascript,window.__pwned=1' })
      add('button', { onclick: code }).click()
      add('a', { href: `javascript:${code}` }).click()
      add('img', { src: 'http://127.0.0.1:9/x.png' })
      add('style', {}, 'body { background: url(http://127.0.0.1:9/y.png) }')
      add('iframe', { src: 'http://127.0.0.1:9/' })
      add('object', { data: 'http://127.0.0.1:9/' })
      await fetch('http://127.0.0.1:9/').catch(() => {})
      await new Promise((resolve) => setTimeout(resolve, 500))
      return violated
    }, SCRIPT)
    for (const directive of [
      'script-src-elem',
      'script-src-attr',
      'img-src',
      'style-src-elem',
      'frame-src',
      'object-src',
      'connect-src',
    ])
      expect(blocked).toContain(directive)
    expect(blocked.filter((directive) => directive === 'script-src-elem').length).toBeGreaterThanOrEqual(3)
    expect(await page.evaluate(() => (window as unknown as { __pwned?: number }).__pwned)).toBeUndefined()
  })

  test.each([0.02, 0.1, 0.5, 0.9, 0.999])(
    'a file that ends after %d of it says so in one line',
    async (share) => {
      const whole = readFileSync(await reports.make(path(CAPTURES, 'bulk-gso')))
      // In front of the script there is only the style: from the body on there is a place to say it.
      const from = whole.indexOf('<script type="module">') + 30
      const cut = folder.write(`cut${share}.html`, whole.subarray(0, Math.max(from, whole.length * share)))
      const page = await browser.newPage()
      const thrown: Error[] = []
      page.on('pageerror', (error) => thrown.push(error))
      await page.goto(`file://${cut}`)
      await page.waitForFunction(() => document.body.innerText.includes('cut off'))
      expect((await page.evaluate(() => document.body.innerText)).trim().split('\n')).toHaveLength(1)
      expect(thrown).toEqual([])
      await page.close()
    },
  )
})

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
const HIDDEN = /[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/

/** How much wider than the window the page is. */
function widthOver(page: Page): Promise<number> {
  return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
}

/** Elements that the page does not make, and attributes that run something. */
function strangeElements(page: Page): Promise<string[]> {
  return page.evaluate(() =>
    [...document.querySelectorAll('*')]
      .flatMap((element) => {
        const isScript = element.tagName === 'SCRIPT'
        const isOurs = ['module', 'application/x-hoptrace'].includes(element.getAttribute('type') ?? '')
        const isStrange = isScript
          ? !isOurs
          : ['IMG', 'IFRAME', 'OBJECT', 'EMBED', 'BASE'].includes(element.tagName)
        const runs = element.getAttributeNames().filter((name) => name.startsWith('on'))
        const leads = /^\s*javascript:/i.test(element.getAttribute('href') ?? '')
        return isStrange || runs.length > 0 || leads ? [element.outerHTML.slice(0, 200)] : []
      })
      .concat(document.querySelectorAll('script[type=module]').length === 1 ? [] : ['not one script']),
  )
}
