/**
 * `npm run bench -- --page`: pages of 100,000 packets in headless Chromium: how soon the flows table is painted, and
 * frames per second while the ladder is zoomed, beside those of an empty page in the same browser. The aims stand beside
 * the figures and are never asserted.
 */

import { spawnSync } from 'node:child_process'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type Browser, chromium, type Page } from 'playwright-core'
import { generate, POINTS } from './generate.ts'
import { measure, node } from './measure.ts'

const PACKETS = 100_000
/** Of the page whose table is painted. */
const FLOWS = 1000
const ZOOM_MS = 3000
/** What a wheel's notch sends. */
const NOTCH_PX = 100
/** Notches in one direction, and then in the other: from the whole flow to some packets of it and back. */
const NOTCHES = 24
const WAIT_MS = 180_000

export interface PageBenchOptions {
  folder: string
  hoptrace: string
  runs: number
  seed: number
}

/** Times since the navigation, in ms; null where it never came. */
interface Painted {
  /** Anything of the report. */
  report: number
  flows: number | null
}

interface Frames {
  median: number
  /** In the slowest twentieth of frames it was less. */
  low: number
}

export async function benchPage({ folder, hoptrace, runs, seed }: PageBenchOptions): Promise<void> {
  const program = spawnSync('sh', ['-c', 'command -v chromium'], { encoding: 'utf8' }).stdout.trim()
  if (program === '') throw new Error('no chromium in PATH: apt-get install chromium')
  const make = (flows: number) => makePage(folder, hoptrace, flows, seed)
  const [table, ladder] = [await make(FLOWS), await make(1)]
  const browser = await chromium.launch({
    executablePath: program,
    args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking'],
  })
  try {
    console.log(`Chromium ${browser.version()}, without a graphics card\n`)
    await benchPaint(browser, table, runs)
    await benchZoom(browser, ladder)
  } finally {
    await browser.close()
  }
}

/** A report of 100,000 packets at 4 points, by the program itself; its path. */
async function makePage(folder: string, hoptrace: string, flows: number, seed: number): Promise<string> {
  generate(folder, { frames: PACKETS, flows, seed })
  const path = join(folder, `${flows}.html`)
  const files = POINTS.map((point) => join(folder, `${point}.pcap`))
  const name = `hoptrace report, ${PACKETS.toLocaleString('en')} packets in ${flows} flow${flows === 1 ? '' : 's'}`
  const run = node(hoptrace, 'report', ...files, '-o', path)
  const { seconds } = await measure({ name, runs: [run] }, folder)
  console.log(`${name}: ${seconds.toFixed(1)} s, ${(statSync(path).size / 1e6).toFixed(1)} MB`)
  return path
}

async function benchPaint(browser: Browser, path: string, runs: number): Promise<void> {
  const all: Painted[] = []
  for (let i = 0; i < runs; i++) all.push(await painted(browser, path))
  const medianOf = (times: (number | null)[]) => {
    const known = times.filter((time) => time !== null).sort((a, b) => a - b)
    return known.length === 0 ? 'never' : `${(known[known.length >> 1] / 1000).toFixed(2)} s`
  }
  console.log(`from opening the page of ${FLOWS} flows (median of ${runs})`)
  console.log(`  first paint of the report   ${medianOf(all.map(({ report }) => report))}`)
  console.log(`  first paint of its table    ${medianOf(all.map(({ flows }) => flows))}   aim: under 2 s`)
}

async function painted(browser: Browser, path: string): Promise<Painted> {
  const page = await browser.newPage()
  // A frame that begins behind the one in which it stood there was painted after it.
  await page.addInitScript(`
    window.paintedAt = {}
    const look = () => {
      for (const [name, found] of [
        ['report', document.querySelector('main')],
        ['flows', document.querySelectorAll('[role=row], tbody tr').length > 2],
      ]) {
        if (!found || name in window.paintedAt) continue
        window.paintedAt[name] = null
        requestAnimationFrame((at) => { window.paintedAt[name] = at })
      }
      requestAnimationFrame(look)
    }
    requestAnimationFrame(look)
  `)
  await page.goto(String(pathToFileURL(path)))
  await page.waitForFunction('window.paintedAt.report > 0', undefined, { timeout: WAIT_MS })
  await page.waitForFunction('window.paintedAt.flows > 0', undefined, { timeout: 20_000 }).catch(() => null)
  const times = (await page.evaluate('window.paintedAt')) as { report: number; flows?: number | null }
  await page.close()
  return { report: times.report, flows: times.flows ?? null }
}

async function benchZoom(browser: Browser, path: string): Promise<void> {
  const page = await browser.newPage({ viewport: { width: 1440, height: 1000 } })
  const began = performance.now()
  await page.goto(`${pathToFileURL(path)}#flow=1&view=ladder`)
  await page.waitForSelector('.ladder-canvas canvas', { timeout: WAIT_MS })
  const ready = (performance.now() - began) / 1000
  console.log(`\nladder of ${PACKETS.toLocaleString('en')} packets: there after ${ready.toFixed(1)} s`)
  console.log(`${'frames/s over 3 s'.padEnd(40)}${'median'.padStart(8)}${'5th percentile'.padStart(17)}`)
  const empty = await browser.newPage()
  say('an empty page', await framesOf(empty, ''))
  await empty.close()
  await page.bringToFront()
  for (const scale of ['Even rows', 'Real time']) {
    await page.getByText(scale, { exact: true }).click()
    await page.locator('.ladder-canvas').focus()
    await page.keyboard.press('0')
    say(`zooming the ladder, ${scale.toLowerCase()}`, await framesOf(page, wheel()), '   aim: at least 50')
  }
  await page.close()
}

/** One notch with Ctrl for each frame, closer and back again. */
function wheel(): string {
  return `
    const canvas = document.querySelector('.ladder-canvas canvas')
    const { left, top, width, height } = canvas.getBoundingClientRect()
    const deltaY = Math.floor(frame / ${NOTCHES}) % 2 === 0 ? -${NOTCH_PX} : ${NOTCH_PX}
    canvas.dispatchEvent(new WheelEvent('wheel', { deltaY, ctrlKey: true, bubbles: true, cancelable: true,
      clientX: left + width / 2, clientY: top + height * 0.4 }))
  `
}

/** Frames per second while `each` runs in every frame, from the times between frames. */
async function framesOf(page: Page, each: string): Promise<Frames> {
  const gaps = (await page.evaluate(`new Promise((done) => {
    const gaps = []
    let frame = 0
    let first, last
    const next = (at) => {
      first ??= at
      if (last !== undefined) gaps.push(at - last)
      last = at
      if (at - first > ${ZOOM_MS}) return done(gaps)
      { ${each} }
      frame++
      requestAnimationFrame(next)
    }
    requestAnimationFrame(next)
  })`)) as number[]
  gaps.sort((a, b) => a - b)
  const rate = (part: number) => 1000 / gaps[Math.min(gaps.length - 1, Math.floor(gaps.length * part))]
  return { median: rate(0.5), low: rate(0.95) }
}

function say(name: string, { median, low }: Frames, aim = ''): void {
  console.log(`  ${name.padEnd(38)}${median.toFixed(1).padStart(8)}${low.toFixed(1).padStart(17)}${aim}`)
}
