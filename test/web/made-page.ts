/** Pages of reports that a test makes up: of very many flows, of findings of every kind, of names that nobody would give. */

import { writeFileSync } from 'node:fs'
import { pageAssets } from '../../src/page-assets.ts'
import type { Report } from '../../src/report/model.ts'
import { aboutElement, blockElement, pageElement, pageHead, pageTail } from '../../src/report/page.ts'
import { PageElement, type PagePacket } from '../../src/report/page-data.ts'

/** Writes a page of `report`, in which all packets stand in one block. */
export function writePage(path: string, report: Report, packets: readonly PagePacket[] = []): void {
  const assets = pageAssets()
  const ids = packets.map(({ flow }) => flow)
  const flows: [number, number] = [Math.min(...ids), Math.max(...ids)]
  writeFileSync(
    path,
    [
      pageHead(assets, 'made'),
      aboutElement({
        schema: 'hoptrace.page/1',
        title: 'made',
        version: '0',
        descriptions: {},
        blocks: packets.length === 0 ? [] : [{ flows, packets: packets.length }],
      }),
      pageElement(PageElement.report, JSON.stringify(report)),
      ...(packets.length === 0 ? [] : [blockElement(0, packets)]),
      pageTail(assets),
    ].join(''),
  )
}

/** A report of nothing. */
export const EMPTY: Report = {
  schema: 'hoptrace.report/1',
  points: [],
  path: [],
  flows: [],
  findings: [],
  notJoined: [],
  warnings: [],
}
