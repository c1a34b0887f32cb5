/** pcapng options and name records: what stands behind the fixed fields of a block, read without trusting a length. */

import { addressText } from './address-bytes.ts'
import type { ByteWindow } from './byte-window.ts'
import { displayText } from './display-text.ts'
import type { Epoch, Gap } from './record.ts'
import { TickClock } from './tick-clock.ts'

const utf8 = new TextDecoder()

/**
 * Calls `visit(code, start, length)` for each option in `view[start..end)`; ends quietly at `opt_endofopt`, or at a
 * length that does not fit: options in front of it are good.
 */
export function forEachOption(
  view: DataView,
  start: number,
  end: number,
  littleEndian: boolean,
  visit: (code: number, start: number, length: number) => void,
): void {
  let at = start
  while (at + 4 <= end) {
    const code = view.getUint16(at, littleEndian)
    const length = view.getUint16(at + 2, littleEndian)
    if (code === 0 || at + 4 + length > end) return
    visit(code, at + 4, length)
    at += 4 + ((length + 3) & ~3)
  }
}

/** What a section of hoptrace's says in shb_userappl. */
export const OUR_APPLICATION = 'hoptrace'

/** Do the options of a Section Header Block in `window[start..end)` say that hoptrace wrote the section? */
export function isOurSection(window: ByteWindow, start: number, end: number, littleEndian: boolean): boolean {
  let isOurs = false
  forEachOption(window.view, start, end, littleEndian, (code, at, length) => {
    if (code === 4) isOurs = text(window.bytes, at, at + length) === OUR_APPLICATION
  })
  return isOurs
}

const NEXT_INTERFACE = 'next towards the way out: '

/** The comment on an interface that tells which one comes behind it on the way out. */
export function nextInterfaceComment(next: string): string {
  return NEXT_INTERFACE + next
}

function nextInterfaceOf(comment: string | null): string | null {
  return comment?.startsWith(NEXT_INTERFACE) ? comment.slice(NEXT_INTERFACE.length) : null
}

const GAP_BEGINS = 'not captured from '
const GAP_ENDS = 'captured again from '
const MAX_GAPS = 1000

/** The comments on an Interface Statistics Block that tell when a point was not captured, in ns since 1970. */
export function gapComment(isCaptured: boolean, unixNs: bigint): string {
  return `${isCaptured ? GAP_ENDS : GAP_BEGINS}${unixNs}`
}

/** Reads such a comment into the gaps of its interface. */
export function readGaps(
  window: ByteWindow,
  start: number,
  end: number,
  littleEndian: boolean,
  epoch: Epoch,
  gaps: Gap[],
): void {
  forEachOption(window.view, start, end, littleEndian, (code, at, length) => {
    const comment = code === 1 ? (text(window.bytes, at, at + length) ?? '') : ''
    const match = /^(not captured|captured again) from (\d{1,20})$/.exec(comment)
    if (match === null || gaps.length >= MAX_GAPS || Number.isNaN(epoch.seconds)) return
    const timeNs = Number(BigInt(match[2]!) - BigInt(epoch.seconds) * 1_000_000_000n)
    const last = gaps.at(-1)
    if (comment.startsWith(GAP_BEGINS)) gaps.push({ fromNs: timeNs, toNs: Number.POSITIVE_INFINITY })
    else if (last?.toNs === Number.POSITIVE_INFINITY) last.toNs = timeNs
    else gaps.push({ fromNs: Number.NEGATIVE_INFINITY, toNs: timeNs })
  })
}

/** What an Interface Description Block's options say. */
export interface InterfaceOptions {
  readonly name: string | null
  readonly description: string | null
  readonly next: string | null
  readonly clock: TickClock
}

/** Reads if_name, if_description, if_tsresol and if_tsoffset from `window[start..end)`. */
export function readInterfaceOptions(
  window: ByteWindow,
  start: number,
  end: number,
  littleEndian: boolean,
): InterfaceOptions {
  let name: string | null = null
  let description: string | null = null
  let next: string | null = null
  let tsresol = 6
  let offsetSeconds = 0n
  forEachOption(window.view, start, end, littleEndian, (code, at, length) => {
    if (code === 1) next ??= nextInterfaceOf(text(window.bytes, at, at + length))
    else if (code === 2) name = text(window.bytes, at, at + length)
    else if (code === 3) description = text(window.bytes, at, at + length)
    else if (code === 9 && length === 1) tsresol = window.bytes[at]
    else if (code === 14 && length === 8) offsetSeconds = window.view.getBigInt64(at, littleEndian)
  })
  return { name, description, next, clock: new TickClock(tsresol, offsetSeconds) }
}

/** Frames lost by interface and system as an Interface Statistics Block tells, or null where it does not. */
export function readDrops(view: DataView, start: number, end: number, littleEndian: boolean): number | null {
  let drops: number | null = null
  forEachOption(view, start, end, littleEndian, (code, at, length) => {
    if ((code === 5 || code === 7) && length === 8) {
      drops = (drops ?? 0) + Number(view.getBigUint64(at, littleEndian))
    }
  })
  return drops
}

/** Reads the IPv4 and IPv6 entries of a Name Resolution Block's records into `names`, up to `maxNames` of them. */
export function readNames(
  window: ByteWindow,
  start: number,
  end: number,
  littleEndian: boolean,
  names: Map<string, string>,
  maxNames: number,
): void {
  const { bytes, view } = window
  forEachOption(view, start, end, littleEndian, (type, at, length) => {
    const addressBytes = type === 1 ? 4 : type === 2 ? 16 : 0
    if (addressBytes === 0 || length <= addressBytes || names.size >= maxNames) return
    const address = addressText(bytes.subarray(at, at + addressBytes))
    const name = text(bytes, at + addressBytes, at + length)
    if (name !== null && !names.has(address)) names.set(address, name)
  })
}

/** UTF-8 up to the first zero byte, fit to be shown; null where nothing is left. */
function text(bytes: Uint8Array, start: number, end: number): string | null {
  const zero = bytes.subarray(start, end).indexOf(0)
  const whole = utf8.decode(bytes.subarray(start, zero < 0 ? end : start + zero))
  return whole === '' ? null : displayText(whole)
}

/** What comments begin with that hold the kernel's receipts of a capture; they are on Interface Statistics Blocks. */
export const RECEIPTS_COMMENT = 'hoptrace.receipts/'
/** All such comments of a file together. */
const MAX_RECEIPTS_CHARACTERS = 8 << 20
const MAX_RECEIPT_COMMENTS = 1000

/** Reads such comments into `comments`, as they are, up to a bound. */
export function readReceiptComments(
  window: ByteWindow,
  start: number,
  end: number,
  littleEndian: boolean,
  comments: string[],
): void {
  forEachOption(window.view, start, end, littleEndian, (code, at, length) => {
    if (code !== 1 || length <= RECEIPTS_COMMENT.length || comments.length >= MAX_RECEIPT_COMMENTS) return
    const bytes = Buffer.from(window.bytes.buffer, window.bytes.byteOffset + at, length)
    if (bytes.toString('latin1', 0, RECEIPTS_COMMENT.length) !== RECEIPTS_COMMENT) return
    const there = comments.reduce((sum, comment) => sum + comment.length, 0)
    if (there + length <= MAX_RECEIPTS_CHARACTERS) comments.push(bytes.toString('latin1'))
  })
}
