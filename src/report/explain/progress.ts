/** The progress of a connection: what its packets up to one of them say, as connection tracking would keep it. */

import type { JourneyReport } from '../journey-lines.ts'

/** What the packets up to the explained ones say about the connection. */
export interface Progress {
  isReplied: boolean
  /** `SYN_SENT`, `SYN_RECV`, `ESTABLISHED`; null where that can't be said. */
  tcpState: string | null
}

/** Takes the packets of one flow in their order. */
export class ProgressCounter {
  #isReplied = false
  #hasEnded = false

  take({ direction, summary }: JourneyReport): void {
    if (direction === 'reverse') this.#isReplied = true
    if (/^\[[^\]]*[FR]/.test(summary)) this.#hasEnded = true
  }

  /** After this packet, which was the last that was taken. */
  after(journey: JourneyReport): Progress {
    return { isReplied: this.#isReplied, tcpState: this.#tcpState(journey) }
  }

  /** The state that conntrack has, as far as that is simple. */
  #tcpState({ protocol, summary }: JourneyReport): string | null {
    if (protocol !== 'tcp' || this.#hasEnded) return null
    if (/^\[S[^.\]]*\]/.test(summary)) return 'SYN_SENT'
    return /^\[S/.test(summary) ? 'SYN_RECV' : 'ESTABLISHED'
  }
}
