/** Whether the page is being printed: paper is light, whatever the screen is. */

import { signal } from '@preact/signals'

export const isPrinting = signal(false)

const printed = matchMedia('print')
const ask = () => {
  isPrinting.value = printed.matches
}
ask()
printed.addEventListener('change', ask)
addEventListener('beforeprint', () => {
  isPrinting.value = true
})
addEventListener('afterprint', ask)
