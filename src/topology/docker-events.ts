/** The engine's events: tells when containers start, end, or join and leave networks, for as long as somebody listens. */

import type { IncomingMessage } from 'node:http'
import { type DockerApi, sendGet } from './docker-api.ts'
import { fieldsOf, textOf } from './foreign.ts'

const FIRST_WAIT_MS = 500
const LONGEST_WAIT_MS = 10_000
/** A longer line is no event. */
const MAX_LINE_CHARACTERS = 1_000_000

const FILTERS = encodeURIComponent(
  JSON.stringify({
    type: ['container', 'network'],
    event: ['start', 'die', 'pause', 'unpause', 'destroy', 'rename', 'connect', 'disconnect'],
  }),
)

export interface ContainerChange {
  /** The container's id; null after a gap in which anything may have changed. */
  readonly id: string | null
  /** `start`, `die`, `connect`, `disconnect`, …; `reconnected` after a gap. */
  readonly action: string
}

/**
 * Calls `onChange` for every change of a container until the returned function is called. Where the engine goes
 * away (restarts, say), it comes back to it as soon as it answers.
 */
export function watchContainers(api: DockerApi, onChange: (change: ContainerChange) => void): () => void {
  let stopped = false
  let waitMs = FIRST_WAIT_MS
  let isGap = false
  let timer: NodeJS.Timeout | undefined
  let drop = () => {}

  const listen = () => {
    let isOver = false
    const again = () => {
      if (isOver || stopped) return
      isOver = true
      isGap = true
      drop()
      timer = setTimeout(listen, waitMs)
      waitMs = Math.min(LONGEST_WAIT_MS, 2 * waitMs)
    }
    const request = sendGet(
      api.address,
      `/events?filters=${FILTERS}`,
      (answer) => {
        if (answer.statusCode !== 200) return again()
        waitMs = FIRST_WAIT_MS
        if (isGap) onChange({ id: null, action: 'reconnected' })
        isGap = false
        readLines(answer, (line) => {
          const change = parseEvent(line)
          if (change && !stopped) onChange(change)
        })
        answer.on('error', again).on('end', again)
      },
      again,
    )
    drop = () => request.destroy()
  }
  listen()
  return () => {
    stopped = true
    clearTimeout(timer)
    drop()
  }
}

/** One event, a line of JSON; null where it is none about a container. */
export function parseEvent(line: string): ContainerChange | null {
  try {
    const event = fieldsOf(JSON.parse(line))
    const actor = fieldsOf(event.Actor)
    const id =
      event.Type === 'network'
        ? textOf(fieldsOf(actor.Attributes).container)
        : (textOf(actor.ID) ?? textOf(event.id))
    const action = textOf(event.Action) ?? textOf(event.status)
    return id !== null && action !== null ? { id, action } : null
  } catch {
    return null
  }
}

function readLines(answer: IncomingMessage, onLine: (line: string) => void): void {
  let pending = ''
  answer.setEncoding('utf8').on('data', (text: string) => {
    const lines = (pending + text).split('\n')
    pending = lines.pop()!
    if (pending.length > MAX_LINE_CHARACTERS) pending = ''
    for (const line of lines) if (line.trim() !== '') onLine(line)
  })
}
