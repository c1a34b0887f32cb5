/** The page as one HTML text: its script and style, which the build made, and data that no browser takes for markup. */

import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import { PAGE_DATA_TYPE, PAGE_LIVE, PageElement } from '../report/page-data.ts'

/** Byte of a gzip header that names the operating system, and the value for any (RFC 1952, 2.3.1). */
const GZIP_SYSTEM_AT = 9
const GZIP_SYSTEM_UNKNOWN = 255

/** What the build made of `web/`. */
export interface PageAssets {
  script: string
  style: string
}

/**
 * Everything in front of the data. With `liveUrl` the page asks there for what is captured right now. The script is a
 * module, so that it runs when all of the page is there, or all that was left of it.
 */
export function pageHead(assets: PageAssets, title: string, liveUrl?: string): string {
  const policy = pagePolicy(assets, liveUrl !== undefined)
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
<style>${assets.style}</style>
</head>
<body>
<div id="app"><p class="notice">Opening … If nothing follows, the file was cut off, or its script may not run.</p></div>
<script type="module">${safeScript(assets.script)}</script>
`
}

/** One piece of data as an element, compressed. Base64 has no character that HTML knows. */
export async function pageElement(id: string, json: Iterable<string>): Promise<string> {
  return `<script type="${PAGE_DATA_TYPE}" id="${id}">${await packed(json)}</script>\n`
}

/** Everything behind the data: by its last element the page knows that it is whole. */
export function pageTail(): string {
  return `<script type="${PAGE_DATA_TYPE}" id="${PageElement.end}"></script>\n</body>\n</html>\n`
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

/**
 * The script as it can stand in HTML: without `</script`, and without `<!--`, behind which `<script` would hide the end (HTML
 * standard, 13.2.5.15 and on). They stand in strings, templates and regular expressions, where the escape means the same. And a
 * parser makes every line end a line feed, for scripts as for HTML: the hash is that of what it made.
 */
function safeScript(script: string): string {
  return script.replace(/<(?=\/script|!--)/gi, '\\x3C').replace(/\r\n?/g, '\n')
}

/** Base64 of gzip, the same wherever it is made: the header has no time, and no operating system. */
async function packed(json: Iterable<string>): Promise<string> {
  const chunks: Buffer[] = []
  await pipeline(Readable.from(json), createGzip(), async (gzip) => {
    for await (const chunk of gzip) chunks.push(chunk)
  })
  const bytes = Buffer.concat(chunks)
  bytes[GZIP_SYSTEM_AT] = GZIP_SYSTEM_UNKNOWN
  return bytes.toString('base64')
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`)
}
