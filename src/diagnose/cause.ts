/** The cause: why something may be as a finding says, how that could be confirmed, and whether the kernel's counters do. */

export interface Cause {
  /** `rule`, `forwarding-off`, `rp-filter`, `conntrack-full`, `no-listener`, … */
  id: string
  /** Half a sentence: `rule 1 of DOCKER-USER drops it`. */
  what: string
  /** True where the receipts of the capture say so. */
  isConfirmed: boolean
  /** What says so: `+3 packets during the capture`. Only where it is confirmed. */
  receipt?: string
  /** What would confirm it. Only where it is not. */
  confirm?: string
  /** A command that shows it, to be run on the host. It only reads. */
  check: string
}

/** Confirmed ones first, else in the order given. */
export function inOrder(causes: readonly Cause[]): Cause[] {
  return [
    ...causes.filter(({ isConfirmed }) => isConfirmed),
    ...causes.filter(({ isConfirmed }) => !isConfirmed),
  ]
}

/** `summary`, and the cause where it is sure: `…: rule 1 of … drops it (+3 packets during the capture)`. */
export function withCause(summary: string, causes: readonly Cause[]): string {
  const [first] = inOrder(causes)
  if (!first?.isConfirmed) return summary
  return `${summary}: ${first.what}${first.receipt === undefined ? '' : ` (${first.receipt})`}`
}
