/** Clock groups: from the differences between pairs of files to one reference, and the error of each file against it. */

import type { ClockError } from '../capture/clock.ts'
import type { ClockDifference } from './clocks.ts'

/** Files by group: their numbers in order, and the packets that they have in common with others. */
interface Group {
  files: number[]
  samples: number
}

/**
 * The errors of all files' clocks; null where the file is a reference, shares its clock, or has too little in common with
 * others. `sources` are the files' names. Files that agree share a clock, unless others tell them apart; a difference
 * is taken from the two files that know it best, along the way to the reference. That is the clock that most files share, or
 * where the first one is to be right (`isFirstRight`), the first of those that can be compared.
 */
export function clockErrors(
  sources: readonly string[],
  differences: readonly ClockDifference[],
  isFirstRight = false,
): (ClockError | null)[] {
  const errors = sources.map((): ClockError | null => null)
  if (!differences.some(({ differs }) => differs)) return errors
  const byTrust = differences.toSorted((a, b) => a.uncertaintyNs - b.uncertaintyNs || b.samples - a.samples)
  const group = groupsOf(sources.length, byTrust)
  const between = byTrust.filter(({ a, b, differs }) => differs && group[a] !== group[b])
  const waiting = ranked(group, differences)
  if (isFirstRight) waiting.sort((a, b) => a.files[0]! - b.files[0]!)
  const reached = new Set<number>()
  for (const { files } of waiting) {
    const root = group[files[0]!]!
    if (reached.has(root)) continue
    reached.add(root)
    const reference = sources[files[0]!]!
    for (;;) {
      // Prim: the best known difference that leads from a clock that is known to one that is not.
      const next = between.find(({ a, b }) => reached.has(group[a]!) !== reached.has(group[b]!))
      if (!next) break
      const isForward = reached.has(group[next.a]!)
      const [from, to] = isForward ? [next.a, next.b] : [next.b, next.a]
      const error = chained(errors[from]!, isForward ? ahead(next) : behind(next), reference)
      for (let file = 0; file < group.length; file++) if (group[file] === group[to]) errors[file] = error
      reached.add(group[to]!)
    }
  }
  return errors
}

/** The group of each file, by the number of one of its files. */
function groupsOf(fileCount: number, byTrust: readonly ClockDifference[]): number[] {
  const group = Array.from({ length: fileCount }, (_, file) => file)
  for (const { a, b, differs } of byTrust) {
    const [one, other] = [group[a]!, group[b]!]
    if (differs || one === other) continue
    const isApart = byTrust.some(
      (it) =>
        it.differs &&
        ((group[it.a] === one && group[it.b] === other) || (group[it.a] === other && group[it.b] === one)),
    )
    if (!isApart) for (let file = 0; file < fileCount; file++) if (group[file] === other) group[file] = one
  }
  return group
}

/** Groups by how many files they have, then by what they have in common with others, then as they were given. */
function ranked(group: readonly number[], differences: readonly ClockDifference[]): Group[] {
  const groups = new Map<number, Group>()
  group.forEach((root, file) => {
    const known = groups.get(root) ?? { files: [], samples: 0 }
    known.files.push(file)
    groups.set(root, known)
  })
  for (const { a, b, samples } of differences)
    for (const file of [a, b]) groups.get(group[file]!)!.samples += samples
  return [...groups.values()].sort((a, b) => b.files.length - a.files.length || b.samples - a.samples)
}

type Step = Omit<ClockError, 'reference'>

/** The error of B's clock against A's, in B's own time. */
function ahead({ offsetNs, atNs, skew, uncertaintyNs, basis }: ClockDifference): Step {
  return { offsetNs, skew: skew / (1 + skew), atNs: atNs + offsetNs, uncertaintyNs, basis }
}

/** The error of A's clock against B's, in A's own time. */
function behind({ offsetNs, atNs, skew, uncertaintyNs, basis }: ClockDifference): Step {
  return { offsetNs: -offsetNs, skew: -skew, atNs, uncertaintyNs, basis }
}

/** The error against the reference of a clock that errs by `step` against one that itself errs by `parent`. */
function chained(parent: ClockError | null, step: Step, reference: string): ClockError {
  if (parent === null) return { ...step, reference }
  const parentNs = step.atNs - step.offsetNs
  return {
    offsetNs: step.offsetNs + parent.offsetNs + parent.skew * (parentNs - parent.atNs),
    skew: 1 - (1 - step.skew) * (1 - parent.skew),
    atNs: step.atNs,
    uncertaintyNs: step.uncertaintyNs + parent.uncertaintyNs,
    basis: worse(step.basis, parent.basis),
    reference,
  }
}

function worse(a: ClockError['basis'], b: ClockError['basis']): ClockError['basis'] {
  if (a === 'one-way' || b === 'one-way') return 'one-way'
  return a === 'uneven' ? a : b
}
