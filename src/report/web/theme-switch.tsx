/** Chooses light or dark. */

import { type Theme, theme } from './theme.ts'

const THEMES: readonly [Theme, string][] = [
  ['system', 'Auto'],
  ['light', 'Light'],
  ['dark', 'Dark'],
]

export function ThemeSwitch() {
  return (
    <fieldset class="switch no-print">
      <legend class="only-read">Colours</legend>
      {THEMES.map(([value, title]) => (
        <label key={value}>
          <input
            type="radio"
            name="theme"
            checked={theme.value === value}
            onChange={() => {
              theme.value = value
            }}
          />
          <span>{title}</span>
        </label>
      ))}
    </fieldset>
  )
}
