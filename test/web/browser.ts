/** A real browser for tests of the page: Debian's Chromium, driven by playwright-core, which downloads none. */

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import axe from 'axe-core'
import { type Browser, chromium, type Page } from 'playwright-core'
import { expect } from 'vitest'
import { hoptrace } from '../commands/program.ts'
import { requireTool } from '../tools.ts'

export const canBrowse = requireTool('chromium')

/** The switches keep it from asking the world for anything. */
const SWITCHES = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

export async function startBrowser(): Promise<Browser> {
  const program = spawnSync('sh', ['-c', 'command -v chromium'], { encoding: 'utf8' }).stdout.trim()
  return await chromium.launch({ executablePath: program, args: SWITCHES })
}

export interface Opened {
  page: Page
  /** Errors of the console and of scripts, and requests for anything but the page itself. */
  faults: string[]
}

export interface Look {
  width?: number
  height?: number
  theme?: 'light' | 'dark'
  /** Behind `#`. */
  hash?: string
}

/** Where a shipped capture lies. */
export function captureOf(name: string): string {
  return join(import.meta.dirname, '../../captures', name)
}

/** A folder for pages, which are gone after the tests. */
export class Reports {
  readonly #folder = mkdtempSync(join(tmpdir(), 'hoptrace-web-'))
  #count = 0
  readonly #shipped = new Map<string, Promise<string>>()

  /** Makes a page with the real program; its path. */
  async make(...inputs: string[]): Promise<string> {
    const path = join(this.#folder, `${++this.#count}.html`)
    const { code, stderr } = await hoptrace('report', ...inputs, '-o', path)
    expect(code, stderr).toBe(0)
    return path
  }

  /** The page of a shipped capture, made once. */
  of(name: string): Promise<string> {
    const made = this.#shipped.get(name) ?? this.make(captureOf(name))
    this.#shipped.set(name, made)
    return made
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

/** Opens a page from disk and waits until it is drawn. */
export async function openPage(browser: Browser, path: string, look: Look = {}): Promise<Opened> {
  const { width = 1440, height = 1000, theme = 'light', hash = '' } = look
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme })
  const page = await context.newPage()
  const url = `${pathToFileURL(path)}${hash}`
  const faults = watchFaults(page, url)
  await page.goto(url)
  await page.waitForSelector('main')
  return { page, faults }
}

/** What goes wrong in a page from now on; `url` is the only thing that it may load, besides what begins with `allowed`. */
export function watchFaults(page: Page, url: string, allowed?: string): string[] {
  const faults: string[] = []
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) faults.push(`${message.type()}: ${message.text()}`)
  })
  page.on('pageerror', (error) => faults.push(`thrown: ${error.message}`))
  page.on('request', (request) => {
    const asked = request.url()
    const isOwn =
      asked.split('#')[0] === url.split('#')[0] || (allowed !== undefined && asked.startsWith(allowed))
    if (!isOwn && !asked.startsWith('data:')) faults.push(`asked for ${asked.slice(0, 200)}`)
  })
  return faults
}

/**
 * What axe finds wrong, a line each: rule, element, what to do. WCAG 2.2 A and AA, and its best practices; or `only` some of its
 * rules, where all were asked about the same page already.
 */
export async function accessibilityFaults(page: Page, only?: string[]): Promise<string[]> {
  // Not as a <script>: the page's policy lets none in.
  await page.evaluate(axe.source)
  const { violations } = await page.evaluate(
    (rules) =>
      (window as unknown as { axe: typeof axe }).axe.run(document, {
        resultTypes: ['violations'],
        ...(rules ? { runOnly: { type: 'rule', values: rules } } : {}),
      }),
    only,
  )
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ target, failureSummary }) => `${id}: ${target}: ${failureSummary}`),
  )
}
