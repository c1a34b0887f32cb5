/** Two hosts whose clocks differ, live: the far one's tcpdump comes in as a program's output, with times that are off. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Report } from '../../src/report/model.ts'
import { requireRoot, requireTool } from '../tools.ts'
import { cable } from './cable.ts'
import { analyzed, comparable, packetsIn, scratch, startCapture } from './capturing.ts'

const SHIFT = join(import.meta.dirname, 'shifted-clock.mjs')

function reportOf(stdout: string): Report {
  return JSON.parse(stdout) as Report
}

describe.runIf(requireRoot() && requireTool('capinfos'))('a far host', () => {
  test.each([
    [-3000, 0],
    [3_600_000, 100],
    [0, 0],
  ])('whose clock is off by %d ms and %d ppm', async (offsetMs, ppm) => {
    const { a, b, ping } = cable()
    const path = scratch()
    const [file, said] = [path('live.pcapng'), path('said')]
    const tcpdump = `ip netns exec ${b} tcpdump -Z root -U --immediate-mode -w - -i eth0 icmp 2> ${said}`
    const far = `far=exec:sh -c "${tcpdump} | ${process.execPath} ${SHIFT} ${offsetMs} ${ppm}"`
    const points = ['--point', `near=${a}:eth0`, '--point', far]
    const running = await startCapture(null, [...points, '--bpf', 'icmp', '--json', '-w', file])
    await expect.poll(() => readFileSync(said, 'utf8'), { timeout: 20_000 }).toContain('listening on')
    ping(60)
    // All has come through tcpdump and the pipe: both ways, at both points.
    await expect.poll(() => packetsIn(file), { timeout: 40_000, interval: 300 }).toBe(4 * 60)
    const { stdout, stderr, code } = await running.end()
    expect([code, stderr.includes('ahead of this machine')]).toEqual([0, false])
    const report = reportOf(stdout)
    const [flow, ...others] = report.flows
    expect(others).toEqual([])
    const ways = [flow!.forward, flow!.reverse].map(({ path }) =>
      path.map((at) => `${at.point} ${at.packets}`),
    )
    expect(ways).toEqual([
      ['near 60', 'far 60'],
      ['far 60', 'near 60'],
    ])
    expect([flow!.lost, report.warnings, flow!.ambiguous]).toEqual([[], [], 0])
    const { clock } = report.points.find(({ name }) => name === 'far')!
    expect(Math.abs(clock.offsetNs - offsetMs * 1e6)).toBeLessThanOrEqual(clock.uncertaintyNs)
    expect(clock.reference).toBe(offsetMs === 0 ? undefined : 'near')
    for (const { minNs } of flow!.latency) expect(minNs).toBeGreaterThan(-5e6)
    const { report: again } = await analyzed(file)
    const withoutClocks = (report: Report) => ({
      ...comparable(report),
      points: report.points.map(({ name, packets }) => ({ name, packets })),
    })
    expect(withoutClocks(again)).toEqual(withoutClocks(report))
  })
})
