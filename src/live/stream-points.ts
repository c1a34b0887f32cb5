/** Stream points: those that a program or FIFO feeds, as `--point NAME=exec:PROGRAM …` and `--point NAME=FIFO` name them. */

import { statSync } from 'node:fs'
import { splitCommandLine } from '../capture/live/command-line.ts'
import type { LiveRecords } from '../capture/live/live-records.ts'
import { StreamedCapture } from '../capture/live/program-source.ts'
import { HoptraceError } from '../errors.ts'
import { POINT_NAME } from '../topology/explicit-points.ts'

const PROGRAM = 'exec:'

/** A point that a program or FIFO feeds. */
export interface StreamPoint {
  name: string
  text: string
}

/** Does the text after NAME= mean a program or a FIFO? */
export function isStream(text: string): boolean {
  const place = text.slice(text.indexOf('=') + 1)
  if (place.startsWith(PROGRAM)) return true
  return (
    place.includes('/') &&
    !place.includes(':') &&
    statSync(place, { throwIfNoEntry: false })?.isFIFO() === true
  )
}

export function streamPoint(text: string): StreamPoint {
  const equals = text.indexOf('=')
  const name = text.slice(0, Math.max(0, equals))
  if (!POINT_NAME.test(name))
    throw new HoptraceError(
      '--point: give NAME=exec:PROGRAM … with a name of letters, digits, dots and dashes',
    )
  return { name, text: text.slice(equals + 1) }
}

export function isProgram({ text }: StreamPoint): boolean {
  return text.startsWith(PROGRAM)
}

export function openStream(
  { name, text }: StreamPoint,
  { epoch, names }: LiveRecords,
): Promise<StreamedCapture> {
  if (!text.startsWith(PROGRAM)) return StreamedCapture.openPipe(text, text, epoch, { names })
  const words = splitCommandLine(text.slice(PROGRAM.length))
  if (words.length === 0) throw new HoptraceError(`--point ${name}=exec: there is no program behind exec:`)
  return StreamedCapture.openProgram(words, text, epoch, { names })
}
