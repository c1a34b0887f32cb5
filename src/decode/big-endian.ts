/** Big-endian reads; they do not look at bounds: the caller's length guard stands in front of them. */

export function u16(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 8) | bytes[at + 1]
}

export function u24(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 16) | (bytes[at + 1] << 8) | bytes[at + 2]
}

/**
 * Signed: `>>> 0` is the caller's, as a function that returned numbers past 2^31 would put each of them on
 * the heap.
 */
export function i32(bytes: Uint8Array, at: number): number {
  return (u16(bytes, at) << 16) | u16(bytes, at + 2)
}
