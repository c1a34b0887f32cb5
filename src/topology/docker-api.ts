/** The engine's API: GET requests to Docker or Podman, bounded in time and size. Never changes anything there. */

import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { displayText } from '../capture/display-text.ts'
import { HoptraceError } from '../errors.ts'
import { type EngineAddress, engineAddresses } from './engine-address.ts'
import { fieldsOf, textOf } from './foreign.ts'

const TIMEOUT_MS = 20_000
const MAX_BODY_BYTES = 64 * 1024 * 1024

export interface DockerApi {
  readonly address: EngineAddress
  /** The answer as JSON; null where there is no such thing (404). Rejects with a `HoptraceError` in one line. */
  get(path: string): Promise<unknown>
}

/** Why an engine cannot be asked; `reason` tells apart what the caller may live with. */
export class EngineError extends HoptraceError {
  readonly reason: 'absent' | 'forbidden' | 'broken'

  constructor(message: string, reason: 'absent' | 'forbidden' | 'broken') {
    super(message, reason === 'forbidden' ? 3 : 2)
    this.name = 'EngineError'
    this.reason = reason
  }
}

/**
 * Finds the engine that answers. Rejects with an `EngineError` that names what was tried, and how to go on
 * without an engine.
 */
export async function connectEngine(addresses = engineAddresses()): Promise<DockerApi> {
  let forbidden: EngineError | null = null
  let broken: EngineError | null = null
  for (const address of addresses) {
    const api = apiAt(address)
    try {
      await api.get('/_ping')
      return api
    } catch (error) {
      if (!(error instanceof EngineError)) throw error
      if (error.reason === 'forbidden') forbidden ??= error
      if (error.reason === 'broken') broken ??= error
    }
  }
  if (forbidden || broken) throw (forbidden ?? broken)!
  const tried = addresses.map(({ shown }) => shown).join(', ')
  throw new EngineError(
    `no container engine answers at ${tried}: start Docker or Podman, set DOCKER_HOST, or name the place with --pid, --netns or --point`,
    'absent',
  )
}

/** The API at this address; nothing is sent yet. */
export function apiAt(address: EngineAddress): DockerApi {
  return {
    address,
    async get(path) {
      const { status, body } = await readAnswer(address, path)
      if (status === 404) return null
      if (status >= 400) {
        const said = textOf(fieldsOf(tryJson(body)).message) ?? body
        throw broken(address, path, `says ${status} ${displayText(said.trim(), 200)}`.trim())
      }
      if (path === '/_ping') return body
      const value = tryJson(body)
      if (value === undefined) throw broken(address, path, 'does not answer with JSON')
      return value
    },
  }
}

/** Sends a GET request; `onAnswer` gets the answer's head, `onFailure` whatever goes wrong before or after it. */
export function sendGet(
  { connection }: EngineAddress,
  path: string,
  onAnswer: (answer: IncomingMessage) => void,
  onFailure: (error: NodeJS.ErrnoException) => void,
): ClientRequest {
  const common = { path, headers: { Host: 'docker', Accept: 'application/json' }, agent: false } as const
  const request =
    'socketPath' in connection
      ? httpRequest({ ...common, socketPath: connection.socketPath }, onAnswer)
      : connection.tls
        ? httpsRequest(
            { ...common, ...connection.tls, host: connection.host, port: connection.port },
            onAnswer,
          )
        : httpRequest({ ...common, host: connection.host, port: connection.port }, onAnswer)
  request.on('error', onFailure)
  request.end()
  return request
}

function readAnswer(address: EngineAddress, path: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const end = (error: EngineError) => {
      clearTimeout(timer)
      reject(error)
      request.destroy()
    }
    const timer = setTimeout(
      () => end(broken(address, path, `does not answer within ${TIMEOUT_MS / 1000} seconds`)),
      TIMEOUT_MS,
    )
    const fail = (error: NodeJS.ErrnoException) => end(connectionError(address, path, error))
    const request = sendGet(
      address,
      path,
      (answer) => {
        const pieces: Buffer[] = []
        let lengthBytes = 0
        answer.on('data', (piece: Buffer) => {
          lengthBytes += piece.length
          if (lengthBytes > MAX_BODY_BYTES) end(broken(address, path, 'answers with more than 64 MiB'))
          else pieces.push(piece)
        })
        answer.on('error', fail)
        answer.on('end', () => {
          clearTimeout(timer)
          resolve({ status: answer.statusCode ?? 0, body: Buffer.concat(pieces).toString('utf8') })
        })
      },
      fail,
    )
  })
}

function connectionError(address: EngineAddress, path: string, error: NodeJS.ErrnoException): EngineError {
  const { shown } = address
  if (error.code === 'EACCES' || error.code === 'EPERM')
    return new EngineError(
      `${shown}: not permitted (${error.code}): run with sudo, or as a member of the socket's group`,
      'forbidden',
    )
  if (['ENOENT', 'ECONNREFUSED', 'ENOTDIR'].includes(error.code ?? ''))
    return new EngineError(
      `no container engine answers at ${shown} (${error.code}): start it, set DOCKER_HOST, or name the place with --pid, --netns or --point`,
      'absent',
    )
  return broken(address, path, `cannot be read (${error.code ?? displayText(error.message, 200)})`)
}

function broken({ shown }: EngineAddress, path: string, what: string): EngineError {
  return new EngineError(
    `${shown}: ${displayText(path, 120)} ${what}: is it Docker or Podman that listens there?`,
    'broken',
  )
}

function tryJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
