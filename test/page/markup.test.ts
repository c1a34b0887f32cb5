/** The page as HTML text: what stands in it is what was meant (test/web asks a browser). */

import { createHash } from 'node:crypto'
import { gunzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { pageElement, pageHead, pagePolicy, pageTail } from '../../src/page/markup.ts'

const STYLE = 'p { color: red }'

function scriptOf(head: string): string {
  return /<script type="module">(.*?)<\/script>\n$/s.exec(head)![1]!
}

test.each([
  ['a string', 'globalThis.seen = "</script><b>"'],
  ['in capitals', 'globalThis.seen = "</SCRIPT ><b>"'],
  ['a comment that would hide the end', 'globalThis.seen = "<!--<script>"'],
  ['a template', 'globalThis.seen = `</script<!--`'],
  ['a regular expression', 'globalThis.seen = /<!--(.*?)<\\/script/u.exec("<!--x</script")[1]'],
  ['a comparison', 'let script = 3; globalThis.seen = 2<script'],
  ['line ends', 'globalThis.seen = `a\r\nb\rc`'],
])('a script with %s does the same, and ends where it should', (_, script) => {
  const head = pageHead({ script, style: STYLE }, 'x')
  const safe = scriptOf(head)
  expect(safe).not.toMatch(/<\/script|<!--|\r/i)
  const seen = (code: string) => new Function(`${code}; return globalThis.seen`)()
  expect(seen(safe)).toBe(seen(script))
  const hash = createHash('sha256').update(safe).digest('base64')
  expect(head).toContain(`script-src 'sha256-${hash}'`)
})

test('the title is text', () => {
  const head = pageHead({ script: '', style: '' }, `</title><script>alert('"&')</script>`)
  expect(head).toContain(
    '<title>&#60;/title&#62;&#60;script&#62;alert(&#39;&#34;&#38;&#39;)&#60;/script&#62; · hoptrace</title>',
  )
})

test('nothing may be loaded or sent, but where the page is live', () => {
  const assets = { script: 'x', style: STYLE }
  const still = pagePolicy(assets, false)
  expect(still).toMatch(/^default-src 'none'; /)
  expect(still).not.toMatch(/connect-src|unsafe|https?:|\*/)
  expect(pagePolicy(assets, true)).toContain("connect-src 'self'")
  const head = pageHead(assets, 'x', '/live?"><script>')
  expect(head).toContain('<meta name="hoptrace-live" content="/live?&#34;&#62;&#60;script&#62;">')
})

test('data are gzip in base64, without a time or a system in the header', async () => {
  const json = JSON.stringify({ text: '</script><!--', more: 'ä'.repeat(100_000) })
  const element = await pageElement('hoptrace-x', [json.slice(0, 20), json.slice(20)])
  const [, data] = /^<script type="application\/x-hoptrace" id="hoptrace-x">([\w+/=]+)<\/script>\n$/.exec(
    element,
  )!
  const bytes = Buffer.from(data!, 'base64')
  expect(gunzipSync(bytes).toString()).toBe(json)
  expect(bytes.subarray(0, 10).toString('hex')).toMatch(/^1f8b0800000000.*ff$/)
})

test('the end says that it is one', () => {
  expect(pageTail()).toMatch(/id="hoptrace-end"><\/script>\n<\/body>\n<\/html>\n$/)
})
