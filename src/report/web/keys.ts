/** Keys: which of them are meant for the page, and how arrows go through what is one stop for the tab key. */

/** Whether the key is part of a combination, which is the browser's or the system's. */
export function hasModifier({ ctrlKey, altKey, metaKey }: KeyboardEvent): boolean {
  return ctrlKey || altKey || metaKey
}

/** Whether letters are meant for what has the focus: a field, or a list that they choose from. */
export function isTyping(target: EventTarget | null): boolean {
  const typed = 'input:not([type=radio], [type=checkbox]), textarea, select, [contenteditable]'
  return target instanceof Element && target.closest(typed) !== null
}

const ARROWS = { across: ['ArrowLeft', 'ArrowRight'], down: ['ArrowUp', 'ArrowDown'] } as const

/**
 * Where a key leads from stop `at` of `count`: to the next or the one before (which may be none: -1, or `count`), the
 * first or the last; null where it leads nowhere.
 */
export function stopAfter(
  event: KeyboardEvent,
  at: number,
  count: number,
  axis: keyof typeof ARROWS,
): number | null {
  if (hasModifier(event)) return null
  const [back, on] = ARROWS[axis]
  return { [back]: at - 1, [on]: at + 1, Home: 0, End: count - 1 }[event.key] ?? null
}
