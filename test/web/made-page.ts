/** Pages of reports that a test makes up: of very many flows, of findings of every kind, of names that nobody would give. */

import { writeFileSync } from 'node:fs'
import { pageAssets } from '../../src/page/assets.ts'
import { pageElement, pageHead, pageTail } from '../../src/page/markup.ts'
import type { Report } from '../../src/report/model.ts'
import { type PageAbout, PageElement, type PagePacket } from '../../src/report/page-data.ts'

/** Writes a page of `report` and packets, a block each list of them. */
export async function writePage(
  path: string,
  report: Report,
  ...blocks: readonly PagePacket[][]
): Promise<void> {
  const about: PageAbout = {
    schema: 'hoptrace.page/1',
    title: 'made',
    version: '0',
    descriptions: {},
    blocks: blocks.map((packets) => {
      const ids = packets.map(({ flow }) => flow)
      return { flows: [Math.min(...ids), Math.max(...ids)], packets: packets.length }
    }),
  }
  const element = (id: string, data: unknown) => pageElement(id, [JSON.stringify(data)])
  const pieces = [
    pageHead(pageAssets(), 'made'),
    await element(PageElement.about, about),
    await element(PageElement.report, report),
  ]
  for (const [i, packets] of blocks.entries()) pieces.push(await element(PageElement.block(i), packets))
  writeFileSync(path, [...pieces, pageTail()].join(''))
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
