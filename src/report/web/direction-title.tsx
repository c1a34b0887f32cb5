/** The name of a direction with its arrow, which is not read out. */

import type { DirectionName } from '../model.ts'
import { arrow } from '../path-line.ts'
import { DIRECTION_TITLES } from './directions.ts'

export function DirectionTitle({ direction }: { direction: DirectionName }) {
  return (
    <>
      <span aria-hidden="true">{arrow(direction)} </span>
      {DIRECTION_TITLES[direction]}
    </>
  )
}
