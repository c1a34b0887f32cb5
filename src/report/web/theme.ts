/** Light and dark: as the system says, or as the reader chose; and the colours of the style, for what is drawn by hand. */

import { effect, signal } from '@preact/signals'

export type Theme = 'system' | 'light' | 'dark'

const KEY = 'hoptrace-theme'

export const theme = signal<Theme>(remembered())
/** Changes whenever colours do: whoever draws on a canvas reads it. */
export const themeRevision = signal(0)

effect(() => {
  const { documentElement } = document
  if (theme.value === 'system') delete documentElement.dataset.theme
  else documentElement.dataset.theme = theme.value
  themeRevision.value = themeRevision.peek() + 1
  try {
    localStorage.setItem(KEY, theme.value)
  } catch {
    // A file opened from disk may have no memory.
  }
})
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
  themeRevision.value++
})

const probe = document.createElement('span')
probe.hidden = true
document.body.append(probe)

/** A colour of `tokens.css`, `--ink` for example, as it is right now. */
export function tokenColor(name: `--${string}`): string {
  probe.style.color = `var(${name})`
  return getComputedStyle(probe).color
}

function remembered(): Theme {
  try {
    const kept = localStorage.getItem(KEY)
    return kept === 'light' || kept === 'dark' ? kept : 'system'
  } catch {
    return 'system'
  }
}
