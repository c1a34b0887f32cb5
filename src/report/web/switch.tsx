/** A choice of one of a few, side by side: radio buttons that look like a switch. */

import type { ComponentChildren } from 'preact'

export interface SwitchProps<T extends string> {
  /** What is chosen, for those who hear the page. */
  legend: string
  /** Of the radio buttons; no other switch of the page has it. */
  name: string
  options: readonly { value: T; title: ComponentChildren; isDisabled?: boolean }[]
  value: T
  onChoose(value: T): void
}

export function Switch<T extends string>({ legend, name, options, value: chosen, onChoose }: SwitchProps<T>) {
  return (
    <fieldset class="switch no-print">
      <legend class="only-read">{legend}</legend>
      {options.map(({ value, title, isDisabled = false }) => (
        <label key={value}>
          <input
            type="radio"
            name={name}
            checked={value === chosen}
            disabled={isDisabled}
            onChange={() => onChoose(value)}
          />
          <span>{title}</span>
        </label>
      ))}
    </fieldset>
  )
}
