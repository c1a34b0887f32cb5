/** Quantities on the command line: sizes such as `64MiB`, times such as `90s`, with a word on what is wrong. */

import { InvalidArgumentError } from 'commander'

const SIZE_UNITS: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  k: 1 << 10,
  m: 1 << 20,
  g: 1 << 30,
}
const TIME_UNITS_MS: Readonly<Record<string, number>> = {
  ms: 1,
  '': 1e3,
  s: 1e3,
  min: 60e3,
  m: 60e3,
  h: 3600e3,
  d: 86_400e3,
}
/** What a timer holds: 2^31 ms. */
const MAX_TIME_MS = 24 * 86_400e3

/** Bytes of `1000`, `64k`, `64KiB`, `10MB`, `1G`; units count in 1024. */
export function byteSize(value: string): number {
  const match = /^(\d+(?:\.\d+)?) ?([kmg]?)i?b?$/i.exec(value.trim())
  const bytes = match ? Math.round(Number(match[1]) * SIZE_UNITS[match[2]!.toLowerCase()]!) : 0
  if (!(bytes >= 1) || bytes > 2 ** 50)
    throw new InvalidArgumentError('Give a size, such as 65535, 64k, 100MB or 1GiB')
  return bytes
}

/** Milliseconds of `30`, `1.5s`, `250ms`, `10min`, `2h`. */
export function timeSpan(value: string): number {
  const match = /^(\d+(?:\.\d+)?) ?([a-z]*)$/i.exec(value.trim())
  const unit = TIME_UNITS_MS[match?.[2]?.toLowerCase() ?? '?']
  const ms = match && unit !== undefined ? Number(match[1]) * unit : 0
  if (!(ms >= 1) || ms > MAX_TIME_MS)
    throw new InvalidArgumentError('Give a time, such as 30s, 250ms, 10min or 2h')
  return ms
}

/** When a new file begins: sizes and times, each at most once. */
export function rotation(
  value: string,
  before: { bytes?: number; everyMs?: number } = {},
): { bytes?: number; everyMs?: number } {
  const isTime = /(ms|s|min|h|d)$/i.test(value) || /\dm$/.test(value)
  if (isTime ? before.everyMs !== undefined : before.bytes !== undefined)
    throw new InvalidArgumentError(`There is a ${isTime ? 'time' : 'size'} already`)
  if (!isTime && /^\d+$/.test(value))
    throw new InvalidArgumentError('Give a size or a time with its unit: 100MB, 10min')
  return isTime ? { ...before, everyMs: timeSpan(value) } : { ...before, bytes: byteSize(value) }
}
