/** Quantities in words a person reads at a glance: three significant digits and a unit. */

const DURATIONS: readonly [number, string][] = [
  [1, 'ns'],
  [1e3, 'µs'],
  [1e6, 'ms'],
  [1e9, 's'],
]
const SIZES: readonly [number, string][] = [
  [1, 'B'],
  [1e3, 'kB'],
  [1e6, 'MB'],
  [1e9, 'GB'],
  [1e12, 'TB'],
]

/** A duration in ns as `812 ns`, `61.2 µs`, `1.02 ms`, `12.3 s`; from two minutes on as `2 min 5 s`. */
export function formatDurationNs(ns: number): string {
  const size = Math.abs(ns)
  if (size < 120e9) return scaled(ns, DURATIONS)
  const seconds = Math.round(size / 1e9)
  const sign = ns < 0 ? '−' : ''
  const minutes = Math.floor(seconds / 60)
  if (minutes < 120) return `${sign}${minutes} min ${seconds % 60} s`
  return `${sign}${formatCount(Math.floor(minutes / 60))} h ${minutes % 60} min`
}

/** A number of bytes as `420 B`, `1.23 kB`, `64.2 MB` (powers of 1000). */
export function formatBytes(bytes: number): string {
  return scaled(bytes, SIZES)
}

/** A count with its thousands marked: `1,234,567`. */
export function formatCount(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ',')
}

/** A count and its noun: `1 packet`, `3 packets`. */
export function formatCounted(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? '' : 's'}`
}

/** Whether a decimal string of the report can be counted with (a report read back from elsewhere may hold anything). */
export function isNumeral(text: string): boolean {
  return /^\d{1,40}$/.test(text)
}

function scaled(value: number, units: readonly [number, string][]): string {
  const size = Math.abs(value)
  let unit = 0
  // A value that three digits would round up to 1000 belongs to the next unit.
  while (unit < units.length - 1 && size / units[unit][0] >= 999.5) unit++
  const number = size / units[unit][0]
  const digits = unit === 0 || number >= 99.95 ? 0 : number >= 9.995 ? 1 : 2
  const text = number.toFixed(digits)
  const sign = value < 0 && Number(text) !== 0 ? '−' : ''
  return `${sign}${text} ${units[unit][1]}`
}
