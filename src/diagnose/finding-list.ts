/** The finding list: of each code the first findings in full, the others counted. */

import { counted, type Finding, type FindingCode, finding } from './finding.ts'

interface Rest {
  findings: number
  flows: [number, number]
}

export class FindingList {
  readonly #maxPerCode: number
  readonly #findings: Finding[] = []
  readonly #counts = new Map<FindingCode, number>()
  readonly #rest = new Map<FindingCode, Rest>()

  constructor(maxPerCode: number) {
    this.#maxPerCode = maxPerCode
  }

  /** Adds a finding about a flow. */
  add(it: Finding): void {
    const count = (this.#counts.get(it.code) ?? 0) + 1
    this.#counts.set(it.code, count)
    if (count <= this.#maxPerCode) {
      this.#findings.push(it)
      return
    }
    const flow = it.flow!
    const rest = this.#rest.get(it.code)
    if (rest) {
      rest.findings++
      rest.flows[1] = flow
    } else this.#rest.set(it.code, { findings: 1, flows: [flow, flow] })
  }

  /** All of them in the order in which they came; then one for the rest of each code that has too many. */
  all(): Finding[] {
    return [
      ...this.#findings,
      ...[...this.#rest].map(
        ([
          code,
          {
            findings,
            flows: [from, to],
          },
        ]) =>
          finding(
            code,
            null,
            `${counted(findings, 'further finding')} of this kind, in flows ${from} to ${to}`,
            {
              more: findings,
              flows: [from, to],
            },
          ),
      ),
    ]
  }
}
