/** The ways of capturing that the live bench holds against each other: how each is started, and what it says it captured. */

import { join } from 'node:path'
import type { Report } from '../src/report/model.ts'
import type { Said } from './live-programs.ts'
import { CONTAINER, POINTS, PORT, type Site, type Traffic } from './live-site.ts'

const HOPTRACE = join(import.meta.dirname, '../../../bin/hoptrace.js')

export interface Count {
  frames: number
  /** That the kernel had no room for. */
  dropped: number
}

export interface Method {
  name: string
  /** What is started, in the host's namespace; `folder` takes its files. */
  commands: (site: Site, folder: string) => string[][]
  /** What each says once it captures. */
  ready: RegExp
  /** For each point what it captured; throws where the answer is wrong. */
  counts: (said: Said[], traffic: Traffic) => Count[]
}

export const NOTHING: Method = { name: 'nothing', commands: () => [], ready: /^/, counts: () => [] }

export const TCPDUMP: Method = {
  name: '4 × tcpdump -w',
  commands: ({ inContainer, interfaces }, folder) =>
    interfaces.map((name, point) => {
      // It would give up root before it opens its file, and the folder is root's.
      const command = [
        'tcpdump',
        '--nano',
        '-Z',
        'root',
        '-i',
        name,
        '-w',
        join(folder, `${POINTS[point]}.pcap`),
      ]
      return point === 0 ? [...inContainer, ...command] : command
    }),
  ready: /listening on/,
  counts: (said) =>
    said.map(({ stderr }) => ({
      frames: numberBefore('packets? captured', stderr),
      dropped: numberBefore('packets? dropped by kernel', stderr),
    })),
}

export const WRITING = hoptrace('--no-join -w', countsOfLine)
export const JOINING = hoptrace('--json', countsOfReport)
export const BOTH = hoptrace('-w --json', countsOfReport)

/** `name` is the options that it is run with, of which -w gets a file. */
function hoptrace(name: string, counts: Method['counts']): Method {
  return {
    name: `hoptrace ${name}`,
    commands: ({ host }, folder) => {
      const options = name
        .split(' ')
        .flatMap((word) => (word === '-w' ? [word, join(folder, 't.pcapng')] : word))
      const program = [process.execPath, HOPTRACE, 'capture', '--container', CONTAINER, ...options]
      return [['env', `DOCKER_HOST=unix://${host.socketPath}`, ...program]]
    },
    ready: /captures on .*; Ctrl-C/,
    counts,
  }
}

/** From `frames written: container 9 (0 dropped), …`. */
function countsOfLine([{ stderr }]: Said[]): Count[] {
  const [, list = ''] = /frames written: (.*)/.exec(stderr) ?? []
  return POINTS.map((point) => {
    const [, frames, dropped] = new RegExp(`\\b${point} (\\d+) \\((\\d+) dropped\\)`).exec(list) ?? []
    if (dropped === undefined)
      throw new Error(`hoptrace does not say what it captured at ${point}:\n${stderr}`)
    return { frames: Number(frames), dropped: Number(dropped) }
  })
}

function countsOfReport([{ stdout }]: Said[], { protocol }: Traffic): Count[] {
  const { path, points, flows } = JSON.parse(stdout) as Report
  if (path.join() !== POINTS.join()) throw new Error(`hoptrace found the path ${path.join(', ')}`)
  const counts = POINTS.map((point) => {
    const { packets, captureDrops } = points.find(({ name }) => name === point)!
    return { frames: packets, dropped: captureDrops ?? Number.NaN }
  })
  const ours = flows.filter((flow) => flow.protocol === protocol && flow.server.port === PORT)
  const translated = ours.filter(({ translations }) => translations.some(({ kind }) => kind === 'snat'))
  if (ours.length === 0 || translated.length !== ours.length)
    throw new Error(`hoptrace joined ${translated.length} of ${ours.length} ${protocol} flows across SNAT`)
  const lost = ours.flatMap((flow) => flow.lost)
  if (lost.length > 0 && counts.every(({ dropped }) => dropped === 0))
    throw new Error(`hoptrace claims a loss where there is none: ${JSON.stringify(lost)}`)
  return counts
}

function numberBefore(words: string, text: string): number {
  const [, number] = new RegExp(`(\\d+) ${words}`).exec(text) ?? []
  if (number === undefined) throw new Error(`tcpdump does not say the number of ${words}:\n${text}`)
  return Number(number)
}
