/** The table of `npm run accuracy`. */

import type { Mix } from './mixes.ts'
import type { Score, Share } from './score.ts'

export const HEADER = [
  ...[
    'mix'.padEnd(16),
    'packets'.padStart(9),
    'journeys'.padStart(9),
    'wrong'.padStart(6),
    'precision'.padStart(11),
  ],
  ...['recall'.padStart(10), 'ambiguous'.padStart(10), 'missed'.padStart(9)],
  ...['translations P/R'.padStart(22), 'losses P/R'.padStart(22)],
].join('')

/** The figures of one mix, and how they stand to its aim. */
export function row({ name, about, aim }: Mix, score: Score): string {
  const precision = (score.journeys - score.wrong) / score.journeys
  const recall = score.recalled / score.packets
  const cells = [
    name.padEnd(16),
    String(score.packets).padStart(9),
    String(score.journeys).padStart(9),
    String(score.wrong).padStart(6),
    percent(precision).padStart(11),
    percent(recall).padStart(10),
    percent(score.ambiguous / score.packets).padStart(10),
    percent(score.missed / score.packets).padStart(9),
    both(score.translations).padStart(22),
    both(score.losses).padStart(22),
  ]
  const lines = [cells.join(''), `  ${about}`]
  if (aim) {
    const met = (isMet: boolean) => (isMet ? 'met' : 'NOT MET')
    const wanted = aim.precision === 1 ? 'no wrong match' : `precision ${percent(aim.precision)}`
    lines.push(
      `  aim: ${wanted}: ${met(precision >= aim.precision)}; recall ${percent(aim.recall)}: ${met(recall >= aim.recall)}`,
    )
  }
  return lines.join('\n')
}

function both({ told, there, right }: Share): string {
  return `${told === 0 ? '-' : percent(right / told)} / ${there === 0 ? '-' : percent(right / there)}`
}

/** Rounded down: what is not all of it must not look like it. */
function percent(part: number): string {
  return `${(Math.floor(part * 1e6) / 1e4).toFixed(part === 1 ? 0 : 4)} %`
}
