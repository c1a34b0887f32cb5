/**
 * Who may talk to the server of a live page: the browser that was given the one-time address, and no page of anybody
 * else, by whatever name it reaches this machine.
 */

import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'

const SECRET_BYTES = 24

export interface Refusal {
  status: number
  /** What to do, in one sentence. */
  text: string
}

const REFUSED: Record<'host' | 'origin' | 'method' | 'token' | 'stranger', Refusal> = {
  host: {
    status: 421,
    text: 'This server answers only to 127.0.0.1 and localhost: open the address that hoptrace printed as it stands.',
  },
  origin: {
    status: 403,
    text: 'Another site led here: paste the address that hoptrace printed into the address bar instead.',
  },
  method: { status: 405, text: 'This server knows GET, and POST from its own page.' },
  token: {
    status: 403,
    text: 'This address has been used, or is not whole: go on in the browser that used it, or start the capture again for a new one.',
  },
  stranger: {
    status: 403,
    text: 'This browser has not been let in: open the whole address that hoptrace printed, with its token.',
  },
}

/** One capture's secrets: the token in the address, which opens once, and the cookie that it is exchanged for. */
export class PageSession {
  readonly #port: number
  #token: string | null = secret()
  readonly #cookie = secret()

  constructor(port: number) {
    this.#port = port
  }

  /** What the user is to open. */
  get address(): string {
    return `http://127.0.0.1:${this.#port}/?token=${this.#token ?? ''}`
  }

  /** The `Set-Cookie` for the browser that came with the token. Its name has the port: cookies are shared by all ports. */
  get cookie(): string {
    return `${this.#cookieName}=${this.#cookie}; HttpOnly; SameSite=Strict; Path=/`
  }

  /** What is wrong with a request, whoever sends it; null where nothing is. */
  refusalOf(method: string | undefined, headers: IncomingHttpHeaders): Refusal | null {
    const { host, origin } = headers
    if (method !== 'GET' && method !== 'POST') return REFUSED.method
    // A name that someone's DNS server points to this machine (rebinding) stands in Host as well.
    if (host === undefined || !this.#hosts().includes(host)) return REFUSED.host
    if (origin === undefined ? method === 'POST' : origin !== `http://${host}`) return REFUSED.origin
    // `same-site` is another port of this machine: another program.
    const site = headers['sec-fetch-site'] ?? 'none'
    return site === 'same-origin' || site === 'none' ? null : REFUSED.origin
  }

  /** Takes the token from the address: null where it is right, and then never again. */
  takeToken(token: string): Refusal | null {
    if (this.#token === null || !isSame(token, this.#token)) return REFUSED.token
    this.#token = null
    return null
  }

  /** Null where the request has the session's cookie. */
  strangerRefusal({ cookie = '' }: IncomingHttpHeaders): Refusal | null {
    const prefix = `${this.#cookieName}=`
    const isOurs = cookie
      .split(';')
      .map((one) => one.trim())
      .some((one) => one.startsWith(prefix) && isSame(one.slice(prefix.length), this.#cookie))
    return isOurs ? null : REFUSED.stranger
  }

  get #cookieName(): string {
    return `hoptrace-${this.#port}`
  }

  /** Browsers leave out port 80. */
  #hosts(): string[] {
    const names = ['127.0.0.1', 'localhost']
    return [...names.map((name) => `${name}:${this.#port}`), ...(this.#port === 80 ? names : [])]
  }
}

function secret(): string {
  return randomBytes(SECRET_BYTES).toString('base64url')
}

/** In a time that does not tell how much of it is right. */
function isSame(given: string, right: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(given), digest(right))
}
