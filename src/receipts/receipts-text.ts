/** Receipts as text: cut into comments of a capture file, and put together from them. */

import { RECEIPTS_COMMENT } from '../capture/pcapng-options.ts'
import { RECEIPTS_SCHEMA, type Receipts } from './model.ts'
import { checkedReceipts } from './receipts-check.ts'

/** An option of pcapng holds 65,535 bytes. */
const PART_CHARACTERS = 60_000
/** `hoptrace.receipts/1 2/3 …`: the second of three. */
const PART = /^hoptrace\.receipts\/(\d{1,9}) (\d{1,4})\/(\d{1,4}) /

/** Comments that hold the receipts: JSON in printable ASCII. */
export function receiptComments(receipts: Receipts): string[] {
  const text = JSON.stringify(receipts).replace(
    /[^ -~]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
  const count = Math.ceil(text.length / PART_CHARACTERS)
  return Array.from({ length: count }, (_, i) => {
    const part = text.slice(i * PART_CHARACTERS, (i + 1) * PART_CHARACTERS)
    return `${RECEIPTS_SCHEMA} ${i + 1}/${count} ${part}`
  })
}

/** The receipts in the comments of a file, which may be several files put together; what is wrong is told in `warnings`. */
export function receiptsIn(comments: readonly string[], source: string, warnings: string[]): Receipts[] {
  const found: Receipts[] = []
  let text = ''
  let next = 1
  let problem: string | null = null
  for (const comment of comments) {
    const [head = '', version = '', number = '', count = ''] = PART.exec(comment) ?? []
    if (head === '' || `${RECEIPTS_COMMENT}${version}` !== RECEIPTS_SCHEMA) {
      problem ??= head === '' ? 'are damaged' : `are of version ${version}, which this hoptrace does not know`
      continue
    }
    if (number === '1') {
      text = ''
      next = 1
    }
    if (Number(number) !== next) continue
    next++
    text += comment.slice(head.length)
    if (number !== count) continue
    const receipts = parsed(text)
    if (receipts === null) problem ??= 'are damaged'
    else found.push(receipts)
  }
  if (found.length === 0 && comments.length > 0) problem ??= 'are not complete'
  if (problem !== null)
    warnings.push(`${source}: the receipts of the kernel in it ${problem}: read without them`)
  return found
}

function parsed(text: string): Receipts | null {
  try {
    return checkedReceipts(JSON.parse(text))
  } catch {
    return null
  }
}
