/** The poller: waits on another thread for any of several descriptors, and can be woken from this one. */

import { closeSync, readSync, writeSync } from 'node:fs'
import { type Address, systemCalls } from './system.ts'

const POLLIN = 1
const POLLERR = 8
const POLLHUP = 16
const POLLNVAL = 32
/** `struct pollfd`: a descriptor, wanted events, events that came. */
const POLLFD_BYTES = 8
const MAX_DESCRIPTORS = 4096
const ONE = new Uint8Array(new BigUint64Array([1n]).buffer)

export class Poller {
  readonly #calls = systemCalls()
  readonly #wakeFd = this.#calls.eventfd()
  readonly #address: Address
  readonly #entries: DataView
  #isWaiting = false
  #isClosed = false

  constructor() {
    const { address, memory } = this.#calls.allocate(POLLFD_BYTES * MAX_DESCRIPTORS)
    this.#address = address
    this.#entries = new DataView(memory)
  }

  /**
   * Waits until one of the descriptors has data (where `forData`) or an error, until `wake`, or for `timeoutMs`.
   * Resolves with the places in `fds` of those with errors. One wait at a time.
   */
  async wait(fds: readonly number[], forData: boolean, timeoutMs: number): Promise<number[]> {
    const entries = this.#entries
    const count = Math.min(fds.length, MAX_DESCRIPTORS - 1)
    for (let i = 0; i < count; i++) {
      entries.setInt32(i * POLLFD_BYTES, fds[i]!, true)
      entries.setInt32(i * POLLFD_BYTES + 4, forData ? POLLIN : 0, true)
    }
    entries.setInt32(count * POLLFD_BYTES, this.#wakeFd, true)
    entries.setInt32(count * POLLFD_BYTES + 4, POLLIN, true)
    this.#isWaiting = true
    const ready = await this.#calls.poll(this.#address, count + 1, timeoutMs)
    this.#isWaiting = false
    if (this.#isClosed) {
      closeSync(this.#wakeFd)
      return []
    }
    if (ready === 0) return []
    if (this.#eventsOf(count) !== 0) readSync(this.#wakeFd, new Uint8Array(8))
    const failed: number[] = []
    for (let i = 0; i < count; i++) if (this.#eventsOf(i) & (POLLERR | POLLHUP | POLLNVAL)) failed.push(i)
    return failed
  }

  /** Ends the wait that is on, or the next one at once. */
  wake(): void {
    if (!this.#isClosed) writeSync(this.#wakeFd, ONE)
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    if (this.#isWaiting) writeSync(this.#wakeFd, ONE)
    else closeSync(this.#wakeFd)
  }

  #eventsOf(i: number): number {
    return this.#entries.getUint16(i * POLLFD_BYTES + 6, true)
  }
}
