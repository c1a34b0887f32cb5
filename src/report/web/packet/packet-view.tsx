/** Headers. */

export function PacketView() {
  return <p>Headers</p>
}
