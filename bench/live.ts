/**
 * `npm run bench -- --live`: capturing on the 4 points of a container's path while iperf3 sends, by hoptrace and by four
 * tcpdumps in the same run. The aims stand beside the figures and are never asserted.
 *
 * CPU is of the capturing processes alone, and apart from each other: until they capture (start-up), from there to the
 * end of the traffic (the figures per frame), and from Ctrl-C to their end. What the kernel does for a socket within
 * the sender's system calls is seen in what becomes of the traffic.
 */

import { mkdirSync, mkdtempSync, readdirSync, rmSync, statfsSync, statSync } from 'node:fs'
import { availableParallelism, freemem } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { requireDocker } from '../test/live/docker-host.ts'
import { BOTH, type Count, JOINING, type Method, NOTHING, TCPDUMP, WRITING } from './live-methods.ts'
import { busyCores, costOf, Program, sum } from './live-programs.ts'
import {
  type Achieved,
  bulk,
  POINTS,
  type Site,
  send,
  smallPackets,
  startSite,
  type Traffic,
} from './live-site.ts'
import { printRun, printTable } from './live-table.ts'
import { isInstalled } from './measure.ts'

const PACKETS_PER_SECOND = 75_000
const BULK_BYTES = 2e9
/** Slow enough for tcpdump's buffers on most machines. */
const PACED_BITS_PER_SECOND = 2e9
const METHODS = [NOTHING, TCPDUMP, WRITING, BOTH, JOINING]
/** Where files cost no disk's time. */
const MEMORY = '/dev/shm'
/** Longer than any of them waits for a block of frames to fill: tcpdump a second. */
const SETTLE_MS = 1300

/** One method's run under one traffic. */
export interface Run {
  achieved: Achieved
  counts: Count[]
  /** Length of all files. */
  writtenBytes: number
  /** CPU, in seconds: until it captured, until the end of the traffic, until its own end. */
  startSeconds: number
  steadySeconds: number
  endSeconds: number
  peakRssBytes: number
}

export interface LiveOptions {
  runs: number
  /** How long the small packets are sent. */
  seconds: number
  /** Takes the files where memory has no room for them. */
  folder: string
}

/** Measures and prints; says in one line what is missing and does nothing where it cannot run. */
export async function benchLive(options: LiveOptions): Promise<void> {
  const missing = ['iperf3', 'tcpdump'].filter((program) => !isInstalled(program))
  if (missing.length > 0) return console.log(`not installed, so no live bench: ${missing.join(', ')}`)
  if (!requireDocker()) return
  const folder = fileFolder(options.folder)
  const site = await startSite()
  try {
    const small = smallPackets(PACKETS_PER_SECOND, options.seconds)
    for (const traffic of [small, bulk(BULK_BYTES, PACED_BITS_PER_SECOND), bulk(BULK_BYTES)])
      await compareUnder(traffic, site, folder, options.runs)
  } finally {
    await site.host.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function compareUnder(traffic: Traffic, site: Site, folder: string, rounds: number): Promise<void> {
  console.log(
    `\n${traffic.name}, container → internet; buffers as by default: tcpdump's 2 MiB a point, hoptrace's 16`,
  )
  const results = new Map<Method, Run[]>(METHODS.map((method) => [method, []]))
  const busy: number[] = []
  for (let round = 1; round <= rounds; round++) {
    // To and fro, so that nobody always comes after the same one.
    for (const method of round % 2 === 1 ? METHODS : METHODS.toReversed()) {
      busy.push(await busyCores())
      const run = await runOnce(site, method, traffic, folder)
      results.get(method)!.push(run)
      printRun(round, method, run)
    }
  }
  printTable(results, traffic)
  const [least, most] = [Math.min(...busy), Math.max(...busy)].map((cores) => cores.toFixed(2))
  console.log(
    `  busy before each run, with other things: ${least}–${most} of ${availableParallelism()} cores`,
  )
}

async function runOnce(site: Site, method: Method, traffic: Traffic, folder: string): Promise<Run> {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const programs = method.commands(site, folder).map((command) => new Program(site.host, command))
  try {
    await Promise.all(programs.map((program) => program.untilSaid(method.ready)))
    const atStart = costOf(programs)
    const achieved = await send(site, traffic)
    await sleep(SETTLE_MS)
    const afterTraffic = costOf(programs)
    const said = await Promise.all(programs.map((program) => program.end()))
    const atEnd = costOf(programs)
    return {
      achieved,
      counts: method.counts(said, traffic),
      writtenBytes: sum(readdirSync(folder).map((name) => statSync(join(folder, name)).size)),
      startSeconds: atStart.cpuSeconds,
      steadySeconds: afterTraffic.cpuSeconds - atStart.cpuSeconds,
      endSeconds: atEnd.cpuSeconds - afterTraffic.cpuSeconds,
      peakRssBytes: atEnd.peakRssBytes,
    }
  } finally {
    for (const program of programs) program.kill()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** A folder in memory, where that has room for all that is written at once; else one below `other`. */
function fileFolder(other: string): string {
  const needed = BULK_BYTES * POINTS.length * 1.1
  if (Math.min(roomIn(MEMORY), freemem() * 0.7) < needed) {
    if (roomIn(other) < needed) throw new Error(`not enough room in ${other}: set TMPDIR`)
    console.log(
      `no room for ${(needed / 1e9).toFixed(0)} GB in ${MEMORY}: the files go to ${other}, whose disk counts in`,
    )
    return join(other, 'live')
  }
  const folder = mkdtempSync(join(MEMORY, 'hoptrace-bench-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  return folder
}

function roomIn(folder: string): number {
  try {
    const { bavail, bsize } = statfsSync(folder)
    return bavail * bsize
  } catch {
    return 0
  }
}
