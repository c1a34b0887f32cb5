/** Path. */

export function PathView() {
  return <p>Path</p>
}
