/** Very many flows: what is told of them needs no more memory than their columns do. */

import { spawn } from 'node:child_process'
import { closeSync, createReadStream, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { clientOf, generateManyFlows } from '../../bench/many-flows.ts'
import { analyze } from '../../src/analysis.ts'
import type { FindingReport, FlowReport } from '../../src/report/model.ts'
import { pageContent } from '../page/page-content.ts'

const PROGRAM = join(import.meta.dirname, '../../bin/hoptrace.js')
const FLOWS = 100_000
/** As objects, the flows would take five times as much. */
const HEAP_MB = 100
const TIMEOUT_MS = 600_000

let folder = ''
let files: string[] = []
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'hoptrace-flows-'))
  files = generateManyFlows(folder, FLOWS)
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Runs analyze with a small heap; returns the file with what it printed. */
async function analyzed(...args: string[]): Promise<string> {
  const path = join(folder, `output${args.join('').replaceAll('/', '_')}`)
  const out = openSync(path, 'w')
  const child = spawn(
    process.execPath,
    [`--max-old-space-size=${HEAP_MB}`, PROGRAM, 'analyze', ...args, ...files],
    { stdio: ['ignore', out, 'inherit'] },
  )
  const code = await new Promise((resolve) => child.on('close', resolve))
  closeSync(out)
  expect(code).toBe(0)
  return path
}

test(
  'every flow is in the JSON, with its own translation, and the findings are counted',
  async () => {
    let flows = 0
    const findings: FindingReport[] = []
    for await (const line of createInterface({ input: createReadStream(await analyzed('--json')) })) {
      if (line.startsWith('  {"code"')) findings.push(JSON.parse(line.replace(/,$/, '')))
      if (!line.startsWith('  {"id"')) continue
      const { id, client, translations } = JSON.parse(line.replace(/,$/, '')) as FlowReport
      const [inside, outside] = [false, true].map((isOutside) => {
        const { ip, port } = clientOf(flows, isOutside)
        return { ip: ip.join('.'), port }
      })
      flows++
      if (id !== flows || client.port !== inside!.port || translations[0]?.to.ip !== outside!.ip)
        expect({ id, client, translations }).toEqual({ id: flows, inside, outside })
    }
    expect(flows).toBe(FLOWS)
    const remapped = findings.filter(({ code }) => code === 'port-remapped')
    const [rest] = remapped.slice(-1)
    expect(remapped.length).toBe(1001)
    expect(rest).toMatchObject({ flow: null, severity: 'info', evidence: { flows: [1002, FLOWS] } })
    const different = Array.from(
      { length: FLOWS },
      (_, i) => clientOf(i, false).port !== clientOf(i, true).port,
    )
    expect(1000 + (rest!.evidence.more as number)).toBe(different.filter(Boolean).length)
  },
  TIMEOUT_MS,
)

test(
  'the text names the first flows, counts the others and says how to choose; a filter finds what it asks for',
  async () => {
    const text = readFileSync(await analyzed(), 'utf8')
    expect(text).toContain('100,000 tcp')
    expect(text).toContain('99,950 more flows: --host, --port or --filter chooses, --json lists all')
    expect(text.split('\n').length).toBeLessThan(400)
    const { ip, port } = clientOf(77_776, false)
    const one = readFileSync(await analyzed('--host', ip.join('.'), '--port', String(port)), 'utf8')
    expect(one).toMatch(/· 1 flow ·/)
    expect(one).toContain('port-remapped · flow 77777')
  },
  TIMEOUT_MS,
)

test(
  'a page has the flows that tell most, and says how many it leaves out',
  async () => {
    const path = join(folder, 'page.html')
    await analyzed('--html', path)
    const { about, report, packets } = pageContent(readFileSync(path, 'utf8'))
    expect([report.flows.length, about.flowsLeftOut]).toEqual([20_000, FLOWS - 20_000])
    expect(packets.length).toBe(3 * 20_000)
    const has = new Set(report.flows.map(({ id }) => id))
    for (const { flow } of report.findings) expect(flow === null || has.has(flow)).toBe(true)
  },
  TIMEOUT_MS,
)

test(
  'programs get the flows one after the other, as often as they go through them',
  async () => {
    const { streamed } = await analyze(files)
    expect(Array.isArray(streamed.flows)).toBe(false)
    expect(streamed.flows.length).toBe(FLOWS)
    for (let time = 0; time < 2; time++) {
      const [first] = streamed.flows
      expect(first!.id).toBe(1)
    }
    const some = streamed.flows.filter(({ client }) => client.ip === '172.17.0.2')
    expect(some.length).toBe(FLOWS / 50)
    expect(some.reduce((sum, { forward }) => sum + forward.packets, 0)).toBe((2 * FLOWS) / 50)
  },
  TIMEOUT_MS,
)
