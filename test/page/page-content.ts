/** What an HTML page holds: its data unpacked, by other code than the page's own. */

import { gunzipSync } from 'node:zlib'
import type { Report } from '../../src/report/model.ts'
import type { PageAbout, PagePacket } from '../../src/report/page-data.ts'

export interface PageContent {
  about: PageAbout
  report: Report
  packets: PagePacket[]
  /** Without the data. */
  frame: string
}

export function pageContent(html: string): PageContent {
  const elements = new Map<string, string>()
  const frame = html.replaceAll(
    /<script type="application\/x-hoptrace" id="([\w-]+)">([\w+/=]*)<\/script>\n/g,
    (_, id, data) => {
      elements.set(id, data)
      return ''
    },
  )
  const json = (id: string) => JSON.parse(gunzipSync(Buffer.from(elements.get(id)!, 'base64')).toString())
  const about = json('hoptrace-about') as PageAbout
  return {
    about,
    report: json('hoptrace-report'),
    packets: about.blocks.flatMap((_, i) => json(`hoptrace-packets-${i}`)),
    frame,
  }
}

/** The page of `hoptrace()` and the like, gathered. */
export async function gathered(pieces: AsyncIterable<string>): Promise<string> {
  let text = ''
  for await (const piece of pieces) text += piece
  return text
}
