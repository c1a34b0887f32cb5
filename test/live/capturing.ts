/** Running `hoptrace capture` inside a sealed host, and what is to be compared about it: its reports, its file, conntrack. */

import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { analyze } from '../../src/analysis.ts'
import type { JourneyReport } from '../../src/report/journey-lines.ts'
import { renderJson } from '../../src/report/json.ts'
import type { Report } from '../../src/report/model.ts'
import type { Ran } from '../commands/program.ts'
import { type Connection, natOf } from '../correlate/conntrack.ts'
import { run } from '../tools.ts'
import type { ConntrackEntry, ConntrackTuple, SealedHost } from './docker-host.ts'

export const PROGRAM = join(import.meta.dirname, '../../bin/hoptrace.js')
/** What a capture says on stderr once it runs. */
const RUNS = /^hoptrace: captures on .*\n/m
/** Where no engine answers. */
export const NO_ENGINE = 'unix:///nowhere/docker.sock'
/** Longer than anything takes here; a test that waits so long has failed. */
const PATIENCE_MS = 50_000

/** A program that runs, and what it has said so far. */
export class Running {
  readonly child: ChildProcess
  stdout = ''
  stderr = ''
  /** Its exit code, -1 where a signal ended it; once all of its output is here. */
  readonly ended: Promise<Ran>
  #hasEnded = false
  #onChange = () => {}

  constructor(child: ChildProcess) {
    this.child = child
    for (const name of ['stdout', 'stderr'] as const)
      child[name]!.setEncoding('utf8').on('data', (text: string) => {
        this[name] += text
        this.#onChange()
      })
    this.ended = new Promise((resolve, reject) => {
      child.on('error', reject)
      child.on('close', (code) => {
        this.#hasEnded = true
        this.#onChange()
        resolve({ stdout: this.stdout, stderr: this.stderr, code: code ?? -1 })
      })
    })
  }

  /** Waits until this is true of it; rejects with what it said where it ends before, or never comes to it. */
  async until(isTrue: (running: this) => unknown): Promise<void> {
    const deadline = Date.now() + PATIENCE_MS
    while (!isTrue(this)) {
      if (this.#hasEnded || Date.now() > deadline)
        throw new Error(
          `it ${this.#hasEnded ? 'ended' : 'waited'} in vain for ${isTrue}\nstdout: ${this.stdout}\nstderr: ${this.stderr}`,
        )
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 200)
        this.#onChange = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }

  /** Waits until `times` pieces of stderr match. */
  untilSaid(pattern: RegExp, times = 1): Promise<void> {
    const all = new RegExp(pattern, `${pattern.flags.replace('g', '')}g`)
    return this.until(({ stderr }) => [...stderr.matchAll(all)].length >= times)
  }

  /** Ends it as Ctrl-C does, and waits for its end. */
  end(signal: NodeJS.Signals = 'SIGINT'): Promise<Ran> {
    this.child.kill(signal)
    return this.ended
  }
}

/** Runs hoptrace in the host's namespace, or without an engine in that of the test; ended at the latest with the test. */
export function startHoptrace(
  host: SealedHost | null,
  args: string[],
  env: Record<string, string> = {},
): Running {
  const settings = { DOCKER_HOST: host ? `unix://${host.socketPath}` : NO_ENGINE, ...env }
  const words = Object.entries(settings).map(([name, value]) => `${name}=${value}`)
  const command = [...words, process.execPath, PROGRAM, ...args]
  const running = new Running(host ? host.spawn('env', ...command) : spawn('env', command))
  onTestFinished(() => void running.child.kill('SIGKILL'))
  return running
}

/** Starts `hoptrace capture` as `startHoptrace` does and waits until it captures. */
export async function startCapture(
  host: SealedHost | null,
  args: string[],
  env: Record<string, string> = {},
): Promise<Running> {
  const running = startHoptrace(host, ['capture', ...args], env)
  await running.untilSaid(RUNS)
  return running
}

/** A folder for one test. */
export function scratch(): (name: string) => string {
  const folder = mkdtempSync(join(tmpdir(), 'hoptrace-live-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return (name) => join(folder, name)
}

/** The points that the program says it captures on. */
export function announced({ stderr }: { stderr: string }): string[] {
  const [, list = ''] = /captures on (.*); Ctrl-C/.exec(stderr) ?? []
  return list.replace(/ \([^)]*\)/g, '').split(', ')
}

/** A report without what depends on whether it was made live: which file a point came from. */
export function comparable(report: Report): Report {
  return { ...report, points: report.points.map((point) => ({ ...point, source: '' })) }
}

/** What `hoptrace analyze` makes of a file, as it comes out of JSON. */
export async function analyzed(file: string): Promise<{ report: Report; journeys: JourneyReport[] }> {
  const analysis = await analyze([file], { journeys: true })
  return { report: JSON.parse(renderJson(analysis.report)) as Report, journeys: [...analysis.journeys()] }
}

/** The rewrites that the report tells, but for those inside of one point. */
export function rewritesOf({ flows }: Report) {
  return flows.flatMap(({ translations }) =>
    translations.filter(({ between: [a, b] }) => a !== b).map(({ kind, from, to }) => ({ kind, from, to })),
  )
}

/** The rewrites that conntrack knows of. */
export function rewritesIn(entries: readonly ConntrackEntry[]) {
  return entries.map(connectionOf).flatMap(natOf)
}

/** Who talked with whom, as conntrack saw the first packet: `tcp 172.17.0.2:4000 → 203.0.113.10:80`. */
export function flowsIn(entries: readonly ConntrackEntry[]): string[] {
  return entries.map(connectionOf).map(({ protocol, original: { src, dst } }) => {
    const to = protocol === 'icmp' ? dst.ip : `${dst.ip}:${dst.port}`
    return `${protocol} ${src.ip}:${src.port} → ${to}`
  })
}

/** As `flowsIn`, of a report. */
export function flowsOf({ flows }: Report): string[] {
  return flows.map(({ protocol, client, server }) => {
    const to = protocol === 'icmp' ? server.ip : `${server.ip}:${server.port}`
    return `${protocol} ${client.ip}:${client.port} → ${to}`
  })
}

function connectionOf({ protocol, original, reply }: ConntrackEntry): Connection {
  const tuple = ({ src, dst, sport, dport, id = 0 }: ConntrackTuple) => ({
    src: { ip: src, port: sport ?? id },
    dst: { ip: dst, port: dport ?? id },
  })
  return { protocol, original: tuple(original), reply: tuple(reply) }
}

/** Records of a capture as tshark reads them: the first value of each field, in the order of the fields. */
export function fieldsOf(file: string, fields: string[], ...more: string[]): string[][] {
  const output = run(
    'tshark',
    ...['-n', '-r', file, '-T', 'fields', '-E', 'occurrence=f', '-o', 'ip.defragment:FALSE'],
    ...fields.flatMap((field) => ['-e', field]),
    ...more,
  )
  return output
    .split('\n')
    .slice(0, -1)
    .map((line) => line.split('\t'))
}

/** What capinfos counts in a file, and what it complains of. */
export function packetsIn(file: string): number {
  const text = run('capinfos', '-Mc', file)
  return Number(/Number of packets:\s+(\d+)/.exec(text)?.[1])
}
