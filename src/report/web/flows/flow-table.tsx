/** Flows. */

export function FlowTable() {
  return <p>Flows</p>
}
