/** The page as a whole: what was captured, its path, findings and flows, and the flow that is looked at. */

import { AboutCapture } from './findings/about-capture.tsx'
import { FindingList } from './findings/finding-list.tsx'
import { FlowSection } from './flow-section.tsx'
import { FlowTable } from './flows/flow-table.tsx'
import { LiveBar } from './live/live-bar.tsx'
import { PageHeader } from './page-header.tsx'
import { PathView } from './path/path-view.tsx'
import { report, selectedFlow, startError } from './state.ts'

/** Of so few flows the table is short: findings stand below it, and not beside it. */
const FEW_FLOWS = 5

export function App() {
  if (startError.value !== null)
    return (
      <p role="alert" class="notice">
        {startError.value}
      </p>
    )
  if (report.value === null) return <p class="notice">Unpacking …</p>
  return (
    <>
      <SkipLink to="flows-title">Skip to the flows</SkipLink>
      {selectedFlow.value === null ? null : <SkipLink to="flow-title">Skip to the selected flow</SkipLink>}
      <PageHeader />
      <LiveBar />
      <main id="main">
        <PathView />
        <div class={report.value.flows.length <= FEW_FLOWS ? 'columns is-short' : 'columns'}>
          <FlowTable />
          <FindingList />
        </div>
        <FlowSection />
        <AboutCapture />
      </main>
    </>
  )
}

/** Moves the focus and not the address, which says what is shown. */
function SkipLink({ to, children }: { to: string; children: string }) {
  const go = (event: Event) => {
    event.preventDefault()
    const target = document.getElementById(to)
    if (target === null) return
    target.tabIndex = -1
    target.focus()
  }
  return (
    <a class="skip no-print" href={`#${to}`} onClick={go}>
      {children}
    </a>
  )
}
