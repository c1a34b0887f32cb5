/**
 * The root helper's program: stays root while the capture goes on without, opens sockets at the places of its task when
 * the engine or the other side says that one is missing, and hands them over. It reads no packets, and of the other side
 * nothing but names of points.
 */

import { closeSync, readFileSync } from 'node:fs'
import { Socket } from 'node:net'
import { filterOf } from '../capture/live/bpf.ts'
import { sendDescriptor } from '../capture/live/descriptor-passing.ts'
import { eachLine } from '../capture/live/lines.ts'
import type { CapturePlace } from '../capture/live/place.ts'
import { openRingSocket } from '../capture/live/ring-socket.ts'
import { SystemCallError } from '../capture/live/system.ts'
import { HoptraceError } from '../errors.ts'
import { PlaceFollower } from './follower.ts'
import { PlaceFinder } from './place-finder.ts'
import { CONTROL_FD, DESCRIPTORS_FD, type HelperAnswer, type HelperTask } from './root-helper.ts'

/** No point has a longer name. */
const MAX_REQUEST_CHARACTERS = 100

// Ctrl-C and a closing terminal reach this process too; it is needed until the other one has gone.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})

const task = readTask()
const { selection, held, taken, bpf, snapLenBytes, bufferBytes, promiscuous } = task
const control = new Socket({ fd: CONTROL_FD })
const finder = new PlaceFinder(selection, new Map(), selection)
const follower = new PlaceFollower(finder, held, taken, async (place) => handOver(place))

// The other process has ended, or wants us to.
control.on('error', () => process.exit()).on('close', () => process.exit())
eachLine(control, MAX_REQUEST_CHARACTERS, (name) => follower.miss(name))

function readTask(): HelperTask {
  const text = readFileSync(0, 'utf8')
  // The other process ended before it could say all.
  if (!text.endsWith('}')) process.exit()
  return JSON.parse(text) as HelperTask
}

function handOver(place: CapturePlace): void {
  const filter = filterOf(bpf ?? undefined, snapLenBytes)
  const { netns, interfaceName } = place
  const { fd, ...socket } = openRingSocket({ netns, interfaceName, filter, bufferBytes, promiscuous })
  try {
    // The descriptor first: who reads the answer finds it there.
    sendDescriptor(DESCRIPTORS_FD, fd)
  } catch (error) {
    if (error instanceof SystemCallError) throw new HoptraceError(error.message)
    throw error
  } finally {
    closeSync(fd)
  }
  const answer: HelperAnswer = { place, socket, names: [...finder.names] }
  control.write(`${JSON.stringify(answer)}\n`)
}
