/** Foreign JSON: reads the fields of an answer that may hold anything; what has another type than hoped for is not there. */

/** Longer texts are no names, addresses or paths. */
const MAX_CHARACTERS = 4096

export type Fields = Readonly<Record<string, unknown>>

/** The fields of an object, none where `value` is none. */
export function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {}
}

export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

/** A text that is not empty, or null. */
export function textOf(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value.slice(0, MAX_CHARACTERS) : null
}

export function textsOf(value: unknown): string[] {
  return listOf(value).flatMap((entry) => textOf(entry) ?? [])
}

/** An integer from 0 to `max`, also one written as text, or null. */
export function integerOf(value: unknown, max = Number.MAX_SAFE_INTEGER): number | null {
  const number = typeof value === 'string' && /^\d{1,16}$/.test(value) ? Number(value) : value
  return typeof number === 'number' && Number.isSafeInteger(number) && number >= 0 && number <= max
    ? number
    : null
}
