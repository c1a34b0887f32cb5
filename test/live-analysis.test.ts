/** The live analysis, with points whose frames and clock the test decides. */

import { afterEach, expect, test, vi } from 'vitest'
import { LiveRecords } from '../src/capture/live/live-records.ts'
import { analyzeLive } from '../src/live-analysis.ts'
import { TestSource } from './test-source.ts'
import { buildFrame, type Wrapping } from './trace/frame.ts'

const SECONDS = 1_800_000_000
const MAC = Uint8Array.of(2, 0, 0, 0, 0, 1)
let clockMs = 0

afterEach(() => vi.restoreAllMocks())

/** A point that has seen all its frames already. */
class SeenSource extends TestSource {
  readonly #frames: { timeNs: number; bytes: Uint8Array }[]

  constructor(frames: { timeNs: number; bytes: Uint8Array }[]) {
    super()
    this.#frames = [...frames]
  }

  advance(): boolean {
    if ((this.#frames[0]?.timeNs ?? Number.POSITIVE_INFINITY) > clockMs * 1e6) return false
    const { timeNs, bytes } = this.#frames.shift()!
    Object.assign(this.record, {
      timeNs,
      bytes,
      start: 0,
      end: bytes.length,
      originalLenBytes: bytes.length,
      linkType: 1,
    })
    return true
  }
}

/** A UDP packet of client number `client`; `isAnswer` for the other direction. */
function packet(client: number, ipId: number, isAnswer = false): Uint8Array {
  const inside = { ip: `10.0.${client >> 8}.${client & 255}`, port: 40_000 }
  const outside = { ip: '203.0.113.9', port: 53_000 }
  const wrapping: Wrapping = {
    srcMac: MAC,
    dstMac: MAC,
    vlan: null,
    src: isAnswer ? outside : inside,
    dst: isAnswer ? inside : outside,
    ttl: 64,
    tunnels: [],
    insideSrcMac: MAC,
    insideDstMac: MAC,
    offloaded: false,
  }
  const payload = Uint8Array.from({ length: 32 }, (_, i) => (i * 7 + ipId) & 255)
  return buildFrame(
    {
      protocol: 'udp',
      ipId,
      payload,
      seq: 0,
      ack: 0,
      flags: 0,
      window: 0,
      options: new Uint8Array(0),
      echoReply: false,
      echoSeq: 0,
    },
    wrapping,
  )
}

/** Lets the clock run while the records are joined, `at` for what happens meanwhile. */
function run(records: LiveRecords, untilMs: number, at: Record<number, () => void> = {}): NodeJS.Timeout {
  return setInterval(() => {
    clockMs += 20
    at[clockMs]?.()
    if (clockMs >= untilMs) records.stop()
    for (const lane of sources) lane.onReady()
  }, 1)
}

let sources: SeenSource[] = []

function live(names: string[], frames: { timeNs: number; bytes: Uint8Array }[][]): LiveRecords {
  clockMs = 0
  vi.spyOn(Date, 'now').mockImplementation(() => SECONDS * 1000 + clockMs)
  const records = new LiveRecords()
  sources = frames.map((some) => new SeenSource(some))
  for (const [i, source] of sources.entries()) records.add(names[i]!, source)
  return records
}

test('where there are too many flows, the older ones are forgotten, but each packet is told once', async () => {
  const clients = Array.from({ length: 1000 }, (_, i) => i)
  const seen = (delayNs: number) =>
    clients.map((client) => ({ timeNs: 100e6 + client * 1e6 + delayNs, bytes: packet(client, client + 1) }))
  const records = live(['container', 'veth'], [seen(0), seen(10_000)])
  const timer = run(records, 3000)
  const packetIds: number[] = []
  const told: { flow: number; ip: string; stations: number }[] = []
  let skippedPackets = 0
  const file = {
    add: (_point: number, _record: unknown, id: number) => packetIds.push(id),
    flush() {},
    noteGaps() {},
    finish: async () => {},
  }
  const { report } = await analyzeLive(records, {
    maxFlows: 100,
    file: file as never,
    listener: {
      async journeys(reports, skipped) {
        skippedPackets += skipped
        for (const { flow, sightings } of reports)
          told.push({ flow, ip: sightings[0]!.src.ip, stations: sightings.length })
      },
    },
  }).finally(() => clearInterval(timer))
  records.close()
  expect(skippedPackets).toBe(0)
  expect(new Set(told.map(({ ip }) => ip)).size).toBe(clients.length)
  // What is underway when a generation ends comes out in two pieces, and nothing else does.
  expect(told.length - clients.length).toBeLessThanOrEqual(10)
  expect(told.filter(({ stations }) => stations === 2).length).toBeGreaterThan(980)
  expect(packetIds).toHaveLength(2 * clients.length)
  const owners = new Map<number, number>()
  for (const id of packetIds) owners.set(id, (owners.get(id) ?? 0) + 1)
  expect([...owners.values()].every((sightings) => sightings <= 2)).toBe(true)
  expect(report.flows.length).toBeLessThanOrEqual(110)
  expect(report.warnings.join()).toContain('flows are left out')
  // The report has the numbers that were told.
  const lastTold = new Map(told.map(({ ip, flow }) => [ip, flow]))
  for (const { id, client } of report.flows) expect(lastTold.get(client.ip)).toBe(id)
})

test('while a point is not captured, nothing is lost there', async () => {
  const times = Array.from({ length: 40 }, (_, i) => 100e6 + i * 50e6)
  const isGap = (timeNs: number) => timeNs > 900e6 && timeNs < 1500e6
  const frames = (delayNs: number, hasGap: boolean) =>
    times
      .filter((timeNs) => !(hasGap && isGap(timeNs)))
      .flatMap((timeNs) => [
        { timeNs: timeNs + delayNs, bytes: packet(1, 100 + times.indexOf(timeNs)) },
        {
          timeNs: timeNs + 5e6 - delayNs,
          bytes: packet(1, 500 + times.indexOf(timeNs), true),
        },
      ])
      .sort((a, b) => a.timeNs - b.timeNs)
  const whole = frames(20_000, false)
  const gone = frames(0, true).filter(({ timeNs }) => timeNs < 900e6)
  const back = frames(0, true).filter(({ timeNs }) => timeNs > 1500e6)
  const records = live(['container', 'bridge'], [gone, whole])
  const timer = run(records, 3000, {
    920: () => {
      sources[0]!.ended = true
      sources[0]!.problem = 'its interface is gone'
    },
    1500: () => {
      const again = new SeenSource(back)
      sources.push(again)
      records.resume(0, again)
    },
  })
  records.begin()
  const { report } = await analyzeLive(records).finally(() => clearInterval(timer))
  records.close()
  expect(report.points.map(({ packets }) => packets)).toEqual([gone.length + back.length, whole.length])
  expect(report.flows).toHaveLength(1)
  expect(report.flows[0]!.lost).toEqual([])
  expect(report.findings.filter(({ severity }) => severity === 'error')).toEqual([])
})
