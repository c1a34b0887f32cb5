/** The page as one HTML text: its script and style, which the build made, and data that no browser takes for markup. */

import { createHash } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { PAGE_DATA_TYPE, PAGE_LIVE, type PageAbout, PageElement, type PagePacket } from './page-data.ts'

/** What the build made of `web/`. */
export interface PageAssets {
  script: string
  style: string
}

/** Everything in front of the data. With `liveUrl` the page asks there for what is captured right now. */
export function pageHead({ script, style }: PageAssets, title: string, liveUrl?: string): string {
  const code = safeScript(script)
  const policy = `${pagePolicy({ script: code, style }, liveUrl !== undefined)}`
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="generator" content="hoptrace">${liveUrl === undefined ? '' : `\n<meta name="${PAGE_LIVE}" content="${escapeHtml(liveUrl)}">`}
<title>${escapeHtml(title)} · hoptrace</title>
<link rel="icon" href="data:,">
<style>${style}</style>
</head>
<body>
<div id="app"><noscript>This report is drawn by the script inside of it: allow JavaScript for this file.</noscript></div>
`
}

/** One piece of data as an element. Base64 has no character that HTML knows. */
export function pageElement(id: string, json: string): string {
  return `<script type="${PAGE_DATA_TYPE}" id="${id}">${gzipSync(json).toString('base64')}</script>\n`
}

export function aboutElement(about: PageAbout): string {
  return pageElement(PageElement.about, JSON.stringify(about))
}

export function blockElement(index: number, packets: readonly PagePacket[]): string {
  return pageElement(PageElement.block(index), JSON.stringify(packets))
}

/** Everything behind the data: the script reads them, so it comes last. */
export function pageTail({ script }: PageAssets): string {
  return `<script type="module">${safeScript(script)}</script>\n</body>\n</html>\n`
}

/** What the page may do: run its own script, and where it is live, talk to the server that it came from. */
export function pagePolicy({ script, style }: PageAssets, isLive: boolean): string {
  return [
    "default-src 'none'",
    `script-src '${hashOf(safeScript(script))}'`,
    `style-src '${hashOf(style)}'`,
    'img-src data:',
    ...(isLive ? ["connect-src 'self'"] : []),
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ')
}

function hashOf(text: string): string {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`
}

/** A script in which no string closes the element. */
function safeScript(script: string): string {
  return script.replaceAll('</script', '<\\/script').replaceAll('<!--', '<\\!--')
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`)
}
