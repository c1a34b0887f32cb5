/** The two directions of a flow, in the words of the page. */

import type { DirectionName } from '../model.ts'

export const DIRECTIONS: readonly DirectionName[] = ['forward', 'reverse']

/** Where packets of the direction go. */
export const TOWARDS: Readonly<Record<DirectionName, string>> = {
  forward: 'to the server',
  reverse: 'to the client',
}
/** The same as a title. */
export const DIRECTION_TITLES: Readonly<Record<DirectionName, string>> = {
  forward: 'To the server',
  reverse: 'To the client',
}
