/** The head of the page: what was captured, how much, and light or dark. */

import { formatCount } from '../quantities.ts'
import { report, source } from './state.ts'
import { ThemeSwitch } from './theme-switch.tsx'

export function PageHeader() {
  const { points, flows, findings } = report.value!
  const { about } = source.value!
  const errors = findings.filter(({ severity }) => severity === 'error').length
  return (
    <header class="head">
      <h1>
        <span class="brand">hoptrace</span> <span class="title">{about.title}</span>
      </h1>
      <p class="counts">
        {formatCount(points.length)} points · {formatCount(flows.length)} flows ·{' '}
        {errors === 0 ? 'no errors' : `${formatCount(errors)} error${errors === 1 ? '' : 's'}`}
      </p>
      <ThemeSwitch />
    </header>
  )
}
