/** Answers: whether what somebody writes names the fault that is in the lab, however they put it. */

import { FAULTS, type Fault } from './faults.ts'

const MAX_CHARACTERS = 1000
/** Whoever lists more causes than this is guessing. */
const MAX_NAMED = 2

export type Verdict = 'right' | 'wrong' | 'guessing'

/** Holds an answer to a fault. Its own name is right as well. */
export function judgeAnswer(answer: string, fault: Fault): Verdict {
  const text = plain(answer)
  if (text === plain(fault.name)) return 'right'
  const named = FAULTS.filter((one) => names(text, one))
  if (named.length > MAX_NAMED) return 'guessing'
  return named.includes(fault) ? 'right' : 'wrong'
}

function names(text: string, { keywords }: Fault): boolean {
  return keywords.every((pattern) => pattern.test(text))
}

/** Small letters, and a space for whatever is neither letter nor digit. */
function plain(text: string): string {
  return text
    .slice(0, MAX_CHARACTERS)
    .toLowerCase()
    .replace(/n['’]t\b/g, ' not')
    .replace(/[^a-z0-9]+/g, ' ')
    .trim()
}
