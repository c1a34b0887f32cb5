/** Findings. */

export function FindingList() {
  return <p>Findings</p>
}
