/** Requests to the lab's own engine on its socket: unlike those of `topology/`, they change things there. */

import { request as httpRequest } from 'node:http'
import { displayText } from '../capture/display-text.ts'
import { HoptraceError } from '../errors.ts'
import { engineSocket, type LabNames } from './stations.ts'

const TIMEOUT_MS = 60_000
const VERSION_TIMEOUT_MS = 2000
const MAX_SAID_CHARACTERS = 300

/** The fields of an answer that the lab reads; an engine is known to fill them. */
export interface Answer {
  readonly Id?: string
  readonly State?: { readonly Running: boolean; readonly Paused: boolean; readonly Pid: number }
  readonly NetworkSettings?: { readonly Networks: Readonly<Record<string, { readonly IPAddress: string }>> }
}

/**
 * Sends a request, with `body` as JSON, or as a tar archive where it is bytes. Resolves to the answer; to null where there is no
 * such thing (404). Rejects with a `HoptraceError` in the engine's words.
 */
export async function ask(
  names: LabNames,
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
  body?: object,
): Promise<Answer | null> {
  const { status, text } = await send(names, method, path, body).catch((error: Error) => {
    throw failure(method, path, error.message)
  })
  if (status === 404 && method !== 'POST') return null
  if (status >= 400) throw failure(method, path, text)
  // An import answers with a line of JSON for each step: nobody needs them.
  return Buffer.isBuffer(body) || text === '' ? {} : (JSON.parse(text) as Answer)
}

/** The engine's version; null where it does not answer. */
export async function engineVersion(names: LabNames): Promise<string | null> {
  try {
    const { text } = await send(names, 'GET', '/version', undefined, VERSION_TIMEOUT_MS)
    return displayText((JSON.parse(text) as { Version: string }).Version)
  } catch {
    return null
  }
}

function send(
  names: LabNames,
  method: string,
  path: string,
  body?: object,
  timeout = TIMEOUT_MS,
): Promise<{ status: number; text: string }> {
  const isArchive = Buffer.isBuffer(body)
  const bytes = body === undefined ? '' : isArchive ? body : JSON.stringify(body)
  const headers = {
    Host: 'docker',
    'Content-Type': isArchive ? 'application/x-tar' : 'application/json',
    'Content-Length': Buffer.byteLength(bytes),
  }
  return new Promise((resolve, reject) => {
    const options = { socketPath: engineSocket(names), method, path, headers, timeout, agent: false }
    const request = httpRequest(options, (answer) => {
      let text = ''
      answer.setEncoding('utf8').on('data', (piece: string) => {
        text += piece
      })
      answer.on('error', reject).on('end', () => resolve({ status: answer.statusCode ?? 0, text }))
    })
    request.on('timeout', () => request.destroy(new Error('it does not answer')))
    request.on('error', reject)
    request.end(bytes)
  })
}

function failure(method: string, path: string, said: string): HoptraceError {
  const what = displayText(said.trim(), MAX_SAID_CHARACTERS) || 'it failed'
  return new HoptraceError(`the lab's engine: ${method} ${path}: ${what}`)
}
