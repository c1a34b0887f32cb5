import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ExplainedStation, Explanation } from '../../src/report/explain/model.ts'
import type { Report } from '../../src/report/model.ts'
import { hoptrace } from '../commands/program.ts'
import { requireTool, run } from '../tools.ts'
import { accessibilityFaults, canBrowse, captureOf, openPage, Reports, startBrowser } from './browser.ts'

/** Rows of the table by tshark's names of fields, and how tshark's value looks here. */
const FIELDS: readonly [row: string, field: string, as?: (value: string) => string][] = [
  ['Ethernet source', 'eth.src'],
  ['Ethernet destination', 'eth.dst'],
  ['Linux cooked source', 'sll.src.eth'],
  ['IPv4 source', 'ip.src'],
  ['IPv4 destination', 'ip.dst'],
  ['IPv4 TTL', 'ip.ttl'],
  ['IPv4 identification', 'ip.id'],
  ['IPv4 total length', 'ip.len'],
  ['IPv4 checksum', 'ip.checksum'],
  ['TCP source port', 'tcp.srcport'],
  ['TCP destination port', 'tcp.dstport'],
  ['TCP sequence', 'tcp.seq_raw'],
  ['TCP acknowledgment', 'tcp.ack_raw'],
  ['TCP window', 'tcp.window_size_value'],
  ['TCP checksum', 'tcp.checksum'],
  ['UDP source port', 'udp.srcport'],
  ['UDP destination port', 'udp.dstport'],
  ['UDP checksum', 'udp.checksum'],
  ['UDP DNS question', 'dns.qry.name'],
  ['ICMP identifier', 'icmp.ident', (value) => String(Number(value))],
  ['ICMP sequence', 'icmp.seq'],
  ['ICMP checksum', 'icmp.checksum'],
]

interface Shown {
  heads: string[]
  rows: { name: string; cells: { value: string; isChanged: boolean }[] }[]
  dumps: string[]
}

describe.skipIf(!canBrowse)('the headers of a packet', () => {
  let browser: Browser
  const reports = new Reports()
  beforeAll(async () => {
    browser = await startBrowser()
  })
  afterAll(async () => {
    await browser?.close()
    reports.remove()
  })

  test.skipIf(!requireTool('tshark')).each([
    ['double-nat', 1, [1, 2, 4, 5]],
    ['inbound-published-port', 1, [1, 2, 3]],
    ['udp-and-ping', 1, [1, 2]],
    ['udp-and-ping', 2, [1, 2]],
    ['any-cooked', 1, [1, 2, 4]],
    ['embedded-dns', 1, [1, 2]],
    ['lossy-download', 1, [20, 27, 28]],
  ])(
    '%s, flow %d, packets %j: as tshark and hoptrace explain see them',
    { timeout: 180_000 },
    async (name, flow, numbers) => {
      const { points } = JSON.parse((await hoptrace('analyze', captureOf(name), '--json')).stdout) as Report
      const { page, faults } = await openPage(browser, await reports.of(name), {
        hash: `#flow=${flow}&view=packet`,
      })
      const frames = new Map<string, { shown: Shown; column: number; frame: number }[]>()
      for (const number of numbers) {
        await choosePacket(page, number)
        const shown = await shownHeaders(page)
        const args = ['--flow', String(flow), '--packet', String(number), '--json']
        const ran = await hoptrace('explain', captureOf(name), ...args)
        const [packet] = (JSON.parse(ran.stdout) as Explanation).packets
        expect(shown.heads.length).toBe(packet!.stations.length)
        packet!.stations.forEach((station, column) => {
          expectAsExplained(shown, column, station)
          const seen = frames.get(station.point) ?? []
          frames.set(station.point, [...seen, { shown, column, frame: station.frames[0]! }])
        })
      }
      for (const [point, seen] of frames) {
        const { source } = points.find((one) => one.name === point)!
        const theirs = new TsharkFrames(
          source,
          seen.map(({ frame }) => frame),
        )
        for (const { shown, column, frame } of seen) theirs.expectSame(shown, column, frame)
      }
      expect(faults).toEqual([])
      await page.context().close()
    },
  )

  test('goes from packet to packet by buttons, number and keys, and says where it is', async () => {
    const { page, faults } = await openPage(browser, await reports.of('double-nat'), {
      hash: '#flow=1&view=packet',
    })
    const title = page.locator('.packet-title h3')
    await expect.poll(() => page.locator('.packet-view').textContent()).toContain('No packet is chosen')
    expect(await title.textContent()).toContain('Packet 1 ')
    const previous = page.locator('.packet-bar').getByRole('button', { name: 'Previous' })
    expect(await previous.getAttribute('aria-disabled')).toBe('true')
    await page.locator('.packet-bar').getByRole('button', { name: 'Next' }).click()
    await expect.poll(() => title.textContent()).toContain('Packet 2 ')
    await expect.poll(() => new URL(page.url()).hash).toBe('#flow=1&packet=2&view=packet')
    await page.keyboard.press('n')
    await expect.poll(() => title.textContent()).toContain('Packet 3 ')
    await page.keyboard.press('p')
    await page.keyboard.press('p')
    await page.keyboard.press('p')
    await expect.poll(() => title.textContent()).toContain('Packet 1 ')
    await choosePacket(page, 999)
    await expect.poll(() => title.textContent()).toContain('Packet 13 ')
    expect(await page.locator('.packet-bar input').inputValue()).toBe('13')
    await page.goto(`${page.url().split('#')[0]}#flow=1&packet=77`)
    await expect
      .poll(() => page.locator('.packet-view').textContent())
      .toContain('Packet 77 is not on this page')
    await previous.click()
    await expect.poll(() => title.textContent()).toContain('Packet 13 ')
    expect(faults).toEqual([])
    await page.context().close()
  })

  test('by keys alone: fields one after the other, each with its bytes', async () => {
    const { page } = await openPage(browser, await reports.of('double-nat'), { hash: '#flow=1&packet=1' })
    await page.locator('.packet-bar input').focus()
    const walked: string[] = []
    for (let i = 0; i < 5; i++) {
      await page.keyboard.press('Tab')
      walked.push(await page.evaluate(() => document.activeElement?.textContent?.slice(0, 20) ?? ''))
    }
    expect(walked.slice(0, 1)).toEqual(['Next'])
    expect(walked[3]).toBe('source')
    await page.locator('.headers').getByRole('button', { name: 'source', exact: true }).first().focus()
    for (let i = 0; i < 5; i++) await page.keyboard.press('ArrowDown')
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe('TTL')
    expect(await page.locator('#bytes-hint').textContent()).toBe('IPv4 TTL: byte 22')
    const marked = page.locator('.dump').nth(3).locator('.byte-marked')
    expect(await marked.allTextContents()).toEqual(['3f', '?'])
    await page.keyboard.press('End')
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe('payload')
    await page
      .locator('.headers')
      .getByRole('row', { name: /^identification/ })
      .hover()
    await expect.poll(() => page.locator('#bytes-hint').textContent()).toContain('bytes 18 to 19')
    await page.context().close()
  })

  test('shows only what changed where that is asked for', async () => {
    const { page } = await openPage(browser, await reports.of('double-nat'), { hash: '#flow=1&packet=1' })
    const all = (await shownHeaders(page)).rows
    await page.getByLabel('Only what changed').check()
    const some = (await shownHeaders(page)).rows
    expect(some.map(({ name }) => name)).toEqual(
      all.filter(({ cells }) => cells.some(({ isChanged }) => isChanged)).map(({ name }) => name),
    )
    expect(some.map(({ name }) => name)).toContain('IPv4 TTL')
    await page.context().close()
  })

  test('the bytes of many points are folded until they are asked for, and then stay open', async () => {
    const { page } = await openPage(browser, await reports.of('double-nat'), { hash: '#flow=1&packet=1' })
    const first = page.locator('.dump').first()
    expect(await first.isVisible()).toBe(false)
    await page.locator('.fold').focus()
    await page.keyboard.press('Enter')
    expect(await first.isVisible()).toBe(true)
    await choosePacket(page, 2)
    expect(await first.isVisible()).toBe(true)
    await page.context().close()
    const { page: few } = await openPage(browser, await reports.of('udp-and-ping'), {
      hash: '#flow=1&packet=1',
    })
    await few.locator('.dump').first().waitFor()
    await few.context().close()
  })

  test('a packet that was cut into frames shows each of them', async () => {
    const path = await reports.of('bulk-gso')
    const { page, faults } = await openPage(browser, path, { hash: '#flow=4&packet=12' })
    await unfoldBytes(page)
    const server = page.locator('.dump').last()
    const choice = server.getByRole('combobox')
    expect(await choice.locator('option').count()).toBe(5)
    const first = await server.locator('pre').textContent()
    await choice.selectOption('2')
    const third = await server.locator('pre').textContent()
    expect(third).not.toBe(first)
    const [, number] = (await choice.locator('option').nth(2).textContent())!.match(/^frame (\d+): sequence/)!
    const file = join(captureOf('bulk-gso'), 'server.pcap.gz')
    const hex = hexOf(run('tshark', '-r', file, '-Y', `frame.number == ${number}`, '-x'))
    expect(hex.startsWith(hexOf(third!))).toBe(true)
    expect(await server.textContent()).toContain('are on this page')
    expect(faults).toEqual([])
    await page.context().close()
  })

  test('hostile names of points show as text, in headers and charts', async () => {
    const names = ['<script>alert(1)', `"'&lt;${'w'.repeat(10_000)}`, '\u202egnp.exe\u001b[31m']
    const files = ['container', 'bridge', 'uplink'].map((file) =>
      join(captureOf('double-nat'), `${file}.pcap.gz`),
    )
    const path = await reports.make(...names.map((name, i) => `${name}=${files[i]}`))
    for (const view of ['packet', 'charts']) {
      const { page, faults } = await openPage(browser, path, { width: 360, hash: `#flow=1&view=${view}` })
      const shown = page.locator(view === 'packet' ? '.headers' : '.charts')
      await expect.poll(() => shown.first().textContent()).toContain('<script>alert(1)')
      const text = (await shown.first().textContent())!
      expect(text).toContain('gnp.exe')
      for (const char of ['\u202e', '\u001b']) expect(text).not.toContain(char)
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(360)
      expect(faults).toEqual([])
      await page.context().close()
    }
  })

  test.each([
    ['light', 1440],
    ['dark', 1440],
    ['light', 360],
    ['dark', 360],
  ] as const)(
    '%s at %d px: accessible, and no wider than the window',
    async (theme, width) => {
      for (const [name, hash] of [
        ['double-nat', '#flow=1&packet=2'],
        ['lossy-download', '#flow=1&packet=20'],
        ['bulk-gso', '#flow=4&packet=12'],
      ]) {
        const { page, faults } = await openPage(browser, await reports.of(name!), {
          theme,
          width,
          hash: hash!,
        })
        await page.waitForSelector('.headers td')
        expect(await accessibilityFaults(page)).toEqual([])
        expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width)
        expect(faults).toEqual([])
        await page.context().close()
      }
    },
    180_000,
  )
})

function expectAsExplained({ heads, rows }: Shown, column: number, station: ExplainedStation): void {
  const { point, frames, layers, where } = station
  expect(heads[column]).toContain(point)
  expect(heads[column]).toContain(frames.slice(0, 3).join(' '))
  expect(heads[column]).toContain(where.namespace)
  const told = layers.flatMap((layer) =>
    layer.fields.map((field) => [`${layer.name} ${field.name}`, field.value, field.isChanged]),
  )
  const here = rows.map(({ name, cells }) => [name, cells[column]!.value, cells[column]!.isChanged])
  expect(here, point).toEqual(told)
}

/** What tshark says of some frames of a file. */
class TsharkFrames {
  readonly #values = new Map<number, string[]>()
  readonly #hex = new Map<number, string>()

  constructor(file: string, frames: readonly number[]) {
    const wanted = ['-r', file, '-Y', `frame.number in {${frames.join(',')}}`]
    const fields = ['frame.number', ...FIELDS.map(([, field]) => field)].flatMap((field) => ['-e', field])
    for (const line of run('tshark', ...wanted, '-T', 'fields', ...fields)
      .trimEnd()
      .split('\n')) {
      const [number, ...values] = line.split('\t')
      this.#values.set(Number(number), values)
    }
    const whole = ['-o', 'tcp.desegment_tcp_streams:FALSE', '-x']
    const dumps = run('tshark', ...wanted, ...whole)
      .split('\n\n')
      .filter((dump) => dump.trim() !== '')
    const numbers = [...new Set(frames)].sort((a, b) => a - b)
    expect(dumps.length).toBe(numbers.length)
    numbers.forEach((number, i) => {
      this.#hex.set(number, hexOf(dumps[i]!))
    })
  }

  expectSame({ rows, dumps }: Shown, column: number, frame: number): void {
    let compared = 0
    FIELDS.forEach(([name, , as = String], k) => {
      const row = rows.find((one) => one.name === name)
      if (!row) return
      // Of several layers of a kind the first is the outermost, and these captures have no tunnels.
      const [value] = this.#values.get(frame)![k]!.split(',')
      expect(row.cells[column]!.value, `frame ${frame}: ${name}`).toBe(as(value!))
      compared++
    })
    expect(compared).toBeGreaterThanOrEqual(8)
    const hex = hexOf(dumps[column]!)
    expect(this.#hex.get(frame)!.startsWith(hex), `frame ${frame}: bytes`).toBe(true)
    expect(hex.length).toBeGreaterThanOrEqual(80)
  }
}

async function choosePacket(page: Page, number: number): Promise<void> {
  await page.locator('.packet-bar input').fill(String(number))
  await page.locator('.packet-bar input').press('Enter')
  if (number < 900)
    await expect.poll(() => page.locator('.packet-title h3').textContent()).toContain(`Packet ${number} `)
}

async function unfoldBytes(page: Page): Promise<void> {
  const folded = page.locator('.fold[aria-expanded=false]')
  if ((await folded.count()) > 0) await folded.click()
}

async function shownHeaders(page: Page): Promise<Shown> {
  await page.waitForSelector('.headers td')
  await unfoldBytes(page)
  return await page.evaluate(() => {
    const all = (selector: string, within: ParentNode = document) => [
      ...within.querySelectorAll<HTMLElement>(selector),
    ]
    let layer = ''
    const rows = all('.headers tbody tr').flatMap((row) => {
      if (row.className === 'layer-row') {
        layer = row.textContent!
        return []
      }
      const cells = all('td', row).map((cell) => ({
        value: cell.querySelector('.cell-value')?.textContent ?? '',
        isChanged: cell.querySelector('.cell-sign')?.textContent === '≠',
      }))
      return [{ name: `${layer} ${row.querySelector('th')!.textContent}`, cells }]
    })
    return {
      heads: all('.headers thead tr:first-child th')
        .slice(1)
        .map((head) => head.textContent!),
      rows,
      dumps: all('.dump pre').map((dump) => dump.innerText),
    }
  })
}

/** Of a dump's text, ours or tshark's, the bytes in hex. */
function hexOf(dump: string): string {
  return [...dump.matchAll(/^[0-9a-f]{4} {2}((?:[0-9a-f]{2} )*[0-9a-f]{2})/gm)]
    .map(([, bytes]) => bytes!.replaceAll(' ', ''))
    .join('')
}
