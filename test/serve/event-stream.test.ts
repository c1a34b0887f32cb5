/** The event stream to pages that read slowly, not at all, or again. */

import type { ServerResponse } from 'node:http'
import { Writable } from 'node:stream'
import { afterEach, expect, test, vi } from 'vitest'
import type { JourneyReport } from '../../src/report/journey-lines.ts'
import type { Report } from '../../src/report/model.ts'
import type { PagePacket } from '../../src/report/page-data.ts'
import type { LiveHead, LiveStatus } from '../../src/report/page-live.ts'
import { EventStream } from '../../src/serve/event-stream.ts'
import { FrameRing } from '../../src/serve/frame-ring.ts'
import { PacketFeed } from '../../src/serve/packet-feed.ts'
import { ReportFeed } from '../../src/serve/report-feed.ts'

afterEach(() => {
  vi.useRealTimers()
})

/** A page that takes in what was sent only when it is told to. */
class SlowPage extends Writable {
  text = ''
  #taken: (() => void)[] = []

  constructor() {
    super({ highWaterMark: 1000 })
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk
    this.#taken.push(done)
  }

  /** Reads all that there is, until nothing more comes. */
  async read(): Promise<void> {
    for (let length = -1; length !== this.text.length || this.#taken.length > 0; ) {
      length = this.text.length
      for (const done of this.#taken.splice(0)) done()
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  events<T>(name: string): T[] {
    return [...this.text.matchAll(new RegExp(`^event: ${name}\n(?:id: .*\n)?data: (.*)\n\n`, 'gm'))].map(
      ([, data]) => JSON.parse(data!) as T,
    )
  }
}

function journey(flow: number, summary = 'udp len 0'): JourneyReport {
  return {
    flow,
    protocol: 'udp',
    direction: 'forward',
    sightings: [],
    outcome: 'delivered',
    summary,
    lenBytes: 0,
    retransmission: false,
  }
}

function feeds() {
  const packets = new PacketFeed(new FrameRing(2000))
  const report = new ReportFeed()
  const hello = () => ({ about: {} as never, earlierPackets: packets.first })
  return { packets, report, hello }
}

const STATUS = { packets: 1 } as LiveStatus

function reportOf(...ids: number[]): Report {
  const flows = ids.map((id) => ({ id, state: 'closed' }))
  return { schema: 'hoptrace.report/1', flows, findings: [], points: [] } as unknown as Report
}

function open(of: ReturnType<typeof feeds>, last: number | null = null) {
  const page = new SlowPage()
  const stream = new EventStream(page as unknown as ServerResponse, of, last)
  stream.pump()
  return { page, stream }
}

test('a slow page costs no memory, and is told how many packets it missed', async () => {
  const of = feeds()
  of.report.update(reportOf(1, 2), [], STATUS)
  const { page, stream } = open(of)
  const count = 70_000
  for (let i = 0; i < count; i++) {
    of.packets.add(journey(1 + (i % 2), 'x'.repeat(300)))
    if (i % 100 > 0) continue
    stream.pump()
    if (i === 30_000) await page.read()
    expect(page.writableLength).toBeLessThan(200_000)
  }
  await page.read()
  const packets = page.events<PagePacket[]>('packets').flat()
  const missed = page.events<number>('missed').reduce((sum, one) => sum + one, 0)
  expect(missed).toBeGreaterThan(10_000)
  expect(packets.length + missed).toBe(count)
  for (const flow of [1, 2]) {
    const numbers = packets.filter((packet) => packet.flow === flow).map(({ number }) => number)
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b))
    expect(numbers.at(-1)).toBe(count / 2)
  }
})

test('a page that comes back goes on behind its last packet; a new one gets what is in memory', async () => {
  const of = feeds()
  of.report.update(reportOf(1), [], STATUS)
  for (let i = 0; i < 25_000; i++) of.packets.add(journey(1))
  const [again, fresh, wrong] = [open(of, 24_989), open(of), open(of, 10 ** 12)]
  for (const { page } of [again, fresh, wrong]) await page.read()
  expect(again.page.events<PagePacket[]>('packets').flat()).toHaveLength(10)
  expect(fresh.page.events<PagePacket[]>('packets').flat()).toHaveLength(20_000)
  expect(fresh.page.events('hello')).toEqual([{ about: {}, earlierPackets: 5000 }])
  expect(wrong.page.events('packets')).toEqual([])
})

test('of the report only what has changed is told, and all of it to a new page', async () => {
  const of = feeds()
  const { page, stream } = open(of)
  const update = async (report: Report, gone: number[] = []) => {
    of.report.update(report, gone, STATUS)
    stream.pump()
    await page.read()
  }
  await update(reportOf(1, 2, 3))
  await update(reportOf(2, 3))
  const changed = reportOf(3, 4)
  changed.flows[0]!.state = 'reset'
  await update(changed, [1, 9])
  const ids = (to: SlowPage) => to.events<{ id: number }[]>('flows').map((flows) => flows.map(({ id }) => id))
  expect(ids(page)).toEqual([
    [1, 2, 3],
    [3, 4],
  ])
  expect(page.events<LiveHead>('head').map(({ gone }) => gone)).toEqual([[], [], [1]])
  const late = open(of)
  await late.page.read()
  expect(ids(late.page)).toEqual([[2, 3, 4]])
  // It may be one that comes back, and knows the flow.
  expect(late.page.events<LiveHead>('head').map(({ gone }) => gone)).toEqual([[1]])
})

test('the end comes behind all else', async () => {
  const of = feeds()
  of.report.update(reportOf(1), [], STATUS)
  const { page, stream } = open(of)
  for (let i = 0; i < 1000; i++) of.packets.add(journey(1))
  stream.end()
  expect(page.events('end')).toEqual([])
  await page.read()
  expect(page.events<PagePacket[]>('packets').flat()).toHaveLength(1000)
  expect(page.text.endsWith('event: end\ndata: null\n\n')).toBe(true)
  expect(page.writableEnded).toBe(true)
})

test('a page that takes in nothing is closed', async () => {
  vi.useFakeTimers({ toFake: ['performance'] })
  const of = feeds()
  of.report.update(reportOf(1), [], STATUS)
  for (let i = 0; i < 1000; i++) of.packets.add(journey(1))
  const [deaf, slow] = [open(of), open(of)]
  for (let second = 0; second < 32; second++) {
    vi.advanceTimersByTime(1000)
    await slow.page.read()
    of.packets.add(journey(1))
    for (const { stream } of [deaf, slow]) stream.pump()
  }
  expect([deaf.page.destroyed, slow.page.destroyed]).toEqual([true, false])
})
