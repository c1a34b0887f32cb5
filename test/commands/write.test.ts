/** `--write`: one pcapng for all points, which reads back as the same result and tells other tools what belongs together. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { analyze } from '../../src/analysis.ts'
import type { Report } from '../../src/report/model.ts'
import { requireTool, run } from '../tools.ts'

const CAPTURES = join(import.meta.dirname, '../../captures')
const folder = mkdtempSync(join(tmpdir(), 'hoptrace-write-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** What does not depend on the numbers that records have in their files. */
function told({ path, flows, points }: Report) {
  return {
    path,
    points: points.map(({ name, packets, bytes, firstNs, lastNs }) => ({
      name,
      packets,
      bytes,
      firstNs,
      lastNs,
    })),
    flows: flows.map(({ lost, icmpErrors, signs, ...flow }) => ({
      ...flow,
      signs: signs && {
        ...signs,
        zeroWindows: signs.zeroWindows?.map(({ packets, point }) => ({ packets, point })),
      },
      lost: lost.map(({ direction, between, packets }) => ({ direction, between, packets })),
      icmpErrors: icmpErrors.map(({ frames, ...error }) => ({ ...error, points: Object.keys(frames) })),
    })),
  }
}

test.each(['port-collision', 'udp-and-ping', 'lossy-download', 'any-cooked', 'microseconds-snaplen'])(
  '%s: what was written reads back as the same result',
  async (scenario) => {
    const file = join(folder, `${scenario}.pcapng`)
    const { report } = await analyze([join(CAPTURES, scenario)], { write: file })
    const again = await analyze([file])
    expect(told(again.report)).toEqual(told(report))
  },
)

test.skipIf(!requireTool('tshark', 'capinfos'))(
  'tshark reads it, and finds the records of one packet together',
  async () => {
    const file = join(folder, 'tshark.pcapng')
    const { report, journeys } = await analyze([join(CAPTURES, 'double-nat')], {
      write: file,
      journeys: true,
    })
    const records = run(
      'tshark',
      '-n',
      '-r',
      file,
      '-T',
      'fields',
      '-e',
      'frame.interface_name',
      '-e',
      'frame.packet_id',
    )
    const byPacket = new Map<string, string[]>()
    for (const [point, id] of records
      .trim()
      .split('\n')
      .map((line) => line.split('\t')))
      if (id) byPacket.set(id, [...(byPacket.get(id) ?? []), point!])
    const ways = [...journeys()].map(({ sightings }) => sightings.map(({ point }) => point).sort())
    expect([...byPacket.values()].map((points) => points.sort())).toEqual(ways)
    expect(run('capinfos', '-c', '-M', file)).toContain(
      String(report.points.reduce((n, { packets }) => n + packets, 0)),
    )
  },
)

test('an input is never written over', async () => {
  const file = join(folder, 'input.pcapng')
  await analyze([join(CAPTURES, 'same-bridge')], { write: file })
  await expect(analyze([file], { write: file })).rejects.toThrow(/is one of the inputs/)
  expect((await analyze([file])).report.flows).toHaveLength(1)
})
