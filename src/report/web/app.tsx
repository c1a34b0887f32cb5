/** The page as a whole: what was captured, its path, findings and flows, and the flow that is looked at. */

import { FindingList } from './findings/finding-list.tsx'
import { FlowSection } from './flow-section.tsx'
import { FlowTable } from './flows/flow-table.tsx'
import { LiveBar } from './live/live-bar.tsx'
import { PageHeader } from './page-header.tsx'
import { PathView } from './path/path-view.tsx'
import { report, startError } from './state.ts'

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
      <a class="skip" href="#main">
        Skip to the flows
      </a>
      <PageHeader />
      <LiveBar />
      <main id="main" tabIndex={-1}>
        <PathView />
        <div class="columns">
          <FlowTable />
          <FindingList />
        </div>
        <FlowSection />
      </main>
    </>
  )
}
