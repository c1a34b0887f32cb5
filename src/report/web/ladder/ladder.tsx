/** Ladder. */

export function Ladder() {
  return <p>Ladder</p>
}
