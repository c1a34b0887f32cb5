/** The data of a page about shipped captures, made as `hoptrace report` makes it. */

import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { htmlReport } from '../../../src/page/html-report.ts'
import type { Report } from '../../../src/report/model.ts'
import { PAGE_DATA_TYPE, type PagePacket } from '../../../src/report/page-data.ts'

const CAPTURES = join(import.meta.dirname, '../../../captures')

export interface PageData {
  report: Report
  packets: PagePacket[]
}

export async function pageOf(name: string): Promise<PageData> {
  const inputs = [join(CAPTURES, name)]
  let html = ''
  for await (const piece of htmlReport(inputs)) html += piece
  const elements = [...html.matchAll(new RegExp(`type="${PAGE_DATA_TYPE}" id="([^"]+)">([^<]+)<`, 'g'))]
  const unpacked = elements.map(([, id, text]): [string, unknown] => [
    id!,
    JSON.parse(gunzipSync(Buffer.from(text!, 'base64')).toString()),
  ])
  return {
    report: unpacked.find(([id]) => id === 'hoptrace-report')![1] as Report,
    packets: unpacked.flatMap(([id, value]) =>
      id.startsWith('hoptrace-packets') ? (value as PagePacket[]) : [],
    ),
  }
}
