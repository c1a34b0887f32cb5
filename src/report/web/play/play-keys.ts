/** Keys of the play: which of them mean something, and when they are meant for somebody else. */

import { hasModifier } from '../keys.ts'

export type PlayKey = 'toggle' | 'next' | 'previous' | 'first' | 'last'

const KEYS: Readonly<Record<string, PlayKey>> = {
  ' ': 'toggle',
  ArrowRight: 'next',
  ArrowDown: 'next',
  ArrowLeft: 'previous',
  ArrowUp: 'previous',
  Home: 'first',
  End: 'last',
}
/** These know themselves what to do with a key. */
const TYPED = 'input, select, textarea, [contenteditable]'

/** What a key asks of the play that is drawn in `root`; null where it is not meant for it. */
export function playKey(event: KeyboardEvent, root: HTMLElement | null): PlayKey | null {
  const { target, key, defaultPrevented } = event
  if (defaultPrevented || hasModifier(event) || !(target instanceof Element) || !root) return null
  if (target.closest(TYPED)) return null
  // The tab that opened the play has the focus after it: space has nothing else to do there.
  const isOwnTab = target.getAttribute('role') === 'tab' && target.getAttribute('aria-selected') === 'true'
  if (isOwnTab && key === ' ') return 'toggle'
  if (target !== document.body && !root.contains(target)) return null
  if (key === ' ' && target.closest('button')) return null
  if ((key === 'ArrowUp' || key === 'ArrowDown') && target === document.body) return null
  return Object.hasOwn(KEYS, key) ? KEYS[key]! : null
}
