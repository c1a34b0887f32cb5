/** Prints what the live bench measured: a line for each run, a table of medians with their span, and the aims. */

import type { Run } from './live.ts'
import { BOTH, JOINING, type Method, NOTHING, TCPDUMP, WRITING } from './live-methods.ts'
import { sum } from './live-programs.ts'
import { POINTS, type Traffic } from './live-site.ts'

type Results = ReadonlyMap<Method, Run[]>

/** A row of the table: its name, its figure of a run, and its digits after the point. */
type Row = [name: string, of: (run: Run) => number, digits: number]

const NAME_WIDTH = 24
const CELL_WIDTH = 23

const framesOf = ({ counts }: Run) => sum(counts.map(({ frames }) => frames))
const droppedOf = ({ counts }: Run) => sum(counts.map(({ dropped }) => dropped))
const nsPerFrame = (run: Run) => (run.steadySeconds * 1e9) / framesOf(run)
const secondsPerGb = ({ steadySeconds, writtenBytes }: Run) => (steadySeconds * 1e9) / writtenBytes
const coresOf = ({ steadySeconds, achieved }: Run) => steadySeconds / achieved.seconds

/** One line about one run. */
export function printRun(round: number, { name }: Method, run: Run): void {
  const figures = Object.entries(run.achieved.figures).map(
    ([what, figure]) => `${what}: ${figure.toFixed(2)}`,
  )
  if (run.counts.length > 0)
    figures.unshift(`${framesOf(run)} frames, ${droppedOf(run)} dropped`, `cores: ${coresOf(run).toFixed(2)}`)
  console.log(`  round ${round}, ${name}: ${figures.join('; ')}`)
}

/** The medians of all rounds, then what is aimed at. */
export function printTable(results: Results, traffic: Traffic): void {
  const [[, runs]] = results
  const heading = runs.length === 1 ? '' : `median (min–max) of ${runs.length}`
  console.log(`\n${heading.padEnd(NAME_WIDTH)}${cells([...results.keys()].map(({ name }) => name))}`)
  for (const [name, of, digits] of rowsFor(runs[0])) {
    const texts = [...results.values()].map((ofMethod) => span(ofMethod.map(of), digits))
    console.log(`${name.padEnd(NAME_WIDTH)}${cells(texts)}`)
  }
  printAims(results, traffic)
}

function rowsFor({ achieved }: Run): Row[] {
  return [
    ...Object.keys(achieved.figures).map((name): Row => [name, (run) => run.achieved.figures[name], 2]),
    ...POINTS.map(
      (point, at): Row => [
        `k frames/s at ${point}`,
        (run) => run.counts[at]?.frames / run.achieved.seconds / 1e3,
        1,
      ],
    ),
    ['dropped by the kernel', (run) => (run.counts.length === 0 ? Number.NaN : droppedOf(run)), 0],
    ['CPU, ns per frame', nsPerFrame, 0],
    ['CPU, s per GB written', secondsPerGb, 2],
    ['CPU, cores', (run) => (run.counts.length === 0 ? Number.NaN : coresOf(run)), 3],
    ['CPU of start-up, s', ({ startSeconds }) => startSeconds || Number.NaN, 3],
    ['CPU of ending, s', (run) => (run.counts.length === 0 ? Number.NaN : run.endSeconds), 3],
    ['peak MB', ({ peakRssBytes }) => peakRssBytes / 1e6 || Number.NaN, 0],
  ]
}

function printAims(results: Results, traffic: Traffic): void {
  const captures = [WRITING, BOTH, JOINING]
  const dropped = (method: Method) => span(results.get(method)!.map(droppedOf), 0)
  for (const method of captures)
    say(`${method.name}, dropped`, dropped(method), `none where tcpdump has none; it has ${dropped(TCPDUMP)}`)
  // With offload the frames of one run may be longer than those of another.
  const [per, cost] = traffic.protocol === 'udp' ? ['frame', nsPerFrame] : (['GB', secondsPerGb] as const)
  const ratio = span(ratios(results, WRITING, TCPDUMP, cost), 2)
  say(`${WRITING.name} / ${TCPDUMP.name}, CPU per ${per}`, ratio, 'at most 2.0')
  for (const method of traffic.protocol === 'udp' ? [BOTH, JOINING] : [])
    say(`${method.name}, cores`, span(results.get(method)!.map(coresOf), 2), 'at most 1.0')
  const arrived = ({ achieved }: Run) => achieved.figures[traffic.arrived]
  const tcpdump = span(ratios(results, TCPDUMP, NOTHING, arrived), 3)
  for (const method of captures) {
    const rate = span(ratios(results, method, NOTHING, arrived), 3)
    say(`${method.name} / nothing, ${traffic.arrived}`, rate, `not below that of tcpdump, ${tcpdump}`)
  }
}

function say(what: string, figure: string, aim: string): void {
  console.log(`  ${what}: ${figure} (aim: ${aim})`)
}

/** The figure of `method` by that of `other`, in each round. */
function ratios(results: Results, method: Method, other: Method, of: (run: Run) => number): number[] {
  const others = results.get(other)!
  return results.get(method)!.map((run, round) => of(run) / of(others[round]))
}

/** `5 (4–9)`: the median, the least and the most; `-` where there is no such figure. */
function span(values: number[], digits: number): string {
  const sorted = values.toSorted((a, b) => a - b).map((value) => value.toFixed(digits))
  if (!values.every(Number.isFinite)) return '-'
  return values.length === 1 ? sorted[0] : `${median(values).toFixed(digits)} (${sorted[0]}–${sorted.at(-1)})`
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const upper = sorted[sorted.length >> 1]
  return sorted.length % 2 === 1 ? upper : (sorted[(sorted.length >> 1) - 1] + upper) / 2
}

function cells(texts: string[]): string {
  return texts.map((text) => text.padStart(CELL_WIDTH)).join('')
}
