/** Where the container engine listens: DOCKER_HOST, else the sockets of Docker and Podman. */

import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { displayText } from '../capture/display-text.ts'
import { HoptraceError } from '../errors.ts'

export interface EngineAddress {
  /** For messages: the path of the socket, or `tcp://host:port`. */
  readonly shown: string
  /** Options for `http.request`. */
  readonly connection:
    | { readonly socketPath: string }
    | { readonly host: string; readonly port: number; readonly tls?: TlsFiles }
}

interface TlsFiles {
  readonly ca?: Buffer
  readonly cert?: Buffer
  readonly key?: Buffer
  readonly rejectUnauthorized: boolean
}

type Environment = Readonly<Record<string, string | undefined>>

/** The places to try, in this order. Throws a `HoptraceError` where DOCKER_HOST is none that can be reached. */
export function engineAddresses(env: Environment = process.env): EngineAddress[] {
  const { DOCKER_HOST: wanted, XDG_RUNTIME_DIR: runtimeFolder } = env
  if (wanted) return [parseDockerHost(wanted, env)]
  const sockets = ['/var/run/docker.sock', '/run/podman/podman.sock']
  if (runtimeFolder)
    sockets.push(join(runtimeFolder, 'docker.sock'), join(runtimeFolder, 'podman/podman.sock'))
  return sockets.map(socketAddress)
}

function socketAddress(path: string): EngineAddress {
  return { shown: displayText(path, 200), connection: { socketPath: path } }
}

function parseDockerHost(wanted: string, env: Environment): EngineAddress {
  const shown = displayText(wanted, 200)
  const path = /^unix:\/\/(\/.+)$/.exec(wanted)?.[1]
  if (path) return socketAddress(path)
  const url = /^tcp:\/\//.test(wanted) ? parseUrl(wanted.replace(/^tcp/, 'http')) : null
  if (!url?.hostname)
    throw new HoptraceError(
      `DOCKER_HOST is ${shown}: only unix:///path/of.sock and tcp://host:port are understood; or use --pid, --netns`,
    )
  const tls = tlsFiles(env)
  // URL drops the port 80, which is http's own.
  const port = /:(\d+)\/?$/.exec(wanted)?.[1]
  return {
    shown,
    connection: {
      host: url.hostname.replace(/^\[|\]$/g, ''),
      port: port ? Number(port) : tls ? 2376 : 2375,
      ...(tls ? { tls } : {}),
    },
  }
}

function tlsFiles(env: Environment): TlsFiles | null {
  if (!env.DOCKER_TLS_VERIFY && !env.DOCKER_TLS) return null
  const folder = env.DOCKER_CERT_PATH || join(homedir(), '.docker')
  const read = (name: string) => {
    try {
      return readFileSync(join(folder, name))
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'ENOENT' && name === 'ca.pem') return undefined
      const file = displayText(join(folder, name), 200)
      throw new HoptraceError(`${file}: cannot be read (${code}): DOCKER_CERT_PATH names its folder`)
    }
  }
  const ca = read('ca.pem')
  const cert = read('cert.pem')
  const key = read('key.pem')
  return {
    ...(ca && { ca }),
    ...(cert && { cert }),
    ...(key && { key }),
    rejectUnauthorized: Boolean(env.DOCKER_TLS_VERIFY),
  }
}

function parseUrl(text: string): URL | null {
  try {
    return new URL(text)
  } catch {
    return null
  }
}
