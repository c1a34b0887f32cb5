/** Chooses light or dark. */

import { Switch } from './switch.tsx'
import { type Theme, theme } from './theme.ts'

const THEMES: readonly { value: Theme; title: string }[] = [
  { value: 'system', title: 'Auto' },
  { value: 'light', title: 'Light' },
  { value: 'dark', title: 'Dark' },
]

export function ThemeSwitch() {
  return (
    <Switch
      legend="Colours"
      name="theme"
      options={THEMES}
      value={theme.value}
      onChoose={(value) => {
        theme.value = value
      }}
    />
  )
}
