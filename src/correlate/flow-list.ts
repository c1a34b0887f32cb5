/** Flow lists: flows that are read one after the other, as often as somebody asks; for an array there are too many of them. */

import type { JoinedFlow } from './joined-flow.ts'

/** Up to here flows are kept once they were read; a flow takes some kB. */
export const MAX_KEPT_FLOWS = 10_000

/** What an array of flows and a `LazyFlows` have in common. */
export interface FlowList extends Iterable<JoinedFlow> {
  readonly length: number
  some(test: (flow: JoinedFlow) => boolean): boolean
  filter(test: (flow: JoinedFlow) => boolean): FlowList
  /** For what is small: there is no list of what comes out but this one. */
  map<T>(of: (flow: JoinedFlow) => T): T[]
  flatMap<T>(of: (flow: JoinedFlow) => T | readonly T[]): T[]
  reduce<T>(step: (sum: T, flow: JoinedFlow) => T, start: T): T
}

/** Reads flows anew whenever they are gone through, unless they are few. */
export class LazyFlows implements FlowList {
  readonly length: number
  readonly #read: () => Iterable<JoinedFlow>
  #kept: JoinedFlow[] | null = null
  #change: (flow: JoinedFlow) => void = () => {}

  /** `read` goes through all of them, `length` in number. */
  constructor(length: number, read: () => Iterable<JoinedFlow>) {
    this.length = length
    this.#read = read
  }

  *[Symbol.iterator](): Generator<JoinedFlow> {
    if (this.length <= MAX_KEPT_FLOWS) this.#kept ??= [...this.#changed()]
    yield* this.#kept ?? this.#changed()
  }

  /** From now on this is done to each flow that is read. */
  amend(change: (flow: JoinedFlow) => void): void {
    this.#change = change
    for (const flow of this.#kept ?? []) change(flow)
  }

  *#changed(): Generator<JoinedFlow> {
    for (const flow of this.#read()) {
      this.#change(flow)
      yield flow
    }
  }

  toJSON(): JoinedFlow[] {
    return [...this]
  }

  some(test: (flow: JoinedFlow) => boolean): boolean {
    for (const flow of this) if (test(flow)) return true
    return false
  }

  /** Goes through all of them once. */
  filter(test: (flow: JoinedFlow) => boolean): FlowList {
    let count = 0
    const some: JoinedFlow[] = []
    for (const flow of this) if (test(flow) && ++count <= MAX_KEPT_FLOWS) some.push(flow)
    if (count === some.length) return some
    const all = this
    return new LazyFlows(count, function* () {
      for (const flow of all) if (test(flow)) yield flow
    })
  }

  map<T>(of: (flow: JoinedFlow) => T): T[] {
    return Array.from(this, of)
  }

  flatMap<T>(of: (flow: JoinedFlow) => T | readonly T[]): T[] {
    const list: T[] = []
    for (const flow of this) {
      const some = of(flow)
      if (Array.isArray(some)) for (const it of some) list.push(it)
      else list.push(some as T)
    }
    return list
  }

  reduce<T>(step: (sum: T, flow: JoinedFlow) => T, start: T): T {
    let sum = start
    for (const flow of this) sum = step(sum, flow)
    return sum
  }
}

/** Does this to each of the flows, whenever it is read. */
export function amend(flows: FlowList, change: (flow: JoinedFlow) => void): void {
  if (flows instanceof LazyFlows) flows.amend(change)
  else for (const flow of flows) change(flow)
}
