/** One finding: what is wrong, why that may be, what would show it, and the way to its packets. */

import type { Cause } from '../../../diagnose/cause.ts'
import { framesText } from '../../findings-text.ts'
import { formatCount, formatCounted } from '../../quantities.ts'
import { flowsById, select } from '../state.ts'
import { CopiedCommand } from './copied-command.tsx'
import type { ListedFinding } from './finding-groups.ts'
import { flowsOfFinding } from './finding-packets.ts'
import { followed, followFinding, showPacket } from './followed-finding.ts'
import { SEVERITY_NOUNS, SEVERITY_SIGNS } from './severities.ts'

/** Packets that have a button of their own. */
const MAX_BUTTONS = 10

export function FindingItem({ listed }: { listed: ListedFinding }) {
  const { finding } = listed
  const { severity, code, flow, summary, causes = [] } = finding
  const frames = framesText(finding)
  // All that are sure; else what is likeliest.
  const shown = Math.max(1, causes.filter(({ isConfirmed }) => isConfirmed).length)
  return (
    <li class={`finding is-${severity}`}>
      <p class="finding-head">
        <span class="sign" aria-hidden="true">
          {SEVERITY_SIGNS[severity]}
        </span>
        <span class="only-read">{SEVERITY_NOUNS[severity]}</span> <span class="code">{code}</span>{' '}
        {flow === null ? <span class="quiet">whole capture</span> : null}
        {flowsOfFinding(finding).map((id) => (
          <FlowLink key={id} id={id} />
        ))}
      </p>
      <p class="finding-summary">{summary}</p>
      <div class="finding-evidence">
        {flow !== null && flowsById.value.has(flow) ? <PacketsOf listed={listed} /> : null}
        {frames === '' ? null : <p class="frames quiet mono">{frames}</p>}
      </div>
      <Causes causes={causes.slice(0, shown)} />
      {causes.length <= shown ? null : (
        <details>
          <summary>{formatCounted(causes.length - shown, 'more possible cause')}</summary>
          <Causes causes={causes.slice(shown)} />
        </details>
      )}
    </li>
  )
}

function Causes({ causes }: { causes: readonly Cause[] }) {
  if (causes.length === 0) return null
  return (
    <ul class="causes">
      {causes.map(({ id, what, isConfirmed, receipt, confirm, check }) => (
        <li key={id} class={isConfirmed ? 'is-confirmed' : undefined}>
          <p>
            <b>{isConfirmed ? '✓ confirmed' : 'maybe'}</b> {what}
            {receipt === undefined ? null : ` (${receipt})`}
            {confirm === undefined ? null : <span class="quiet">; sure if {confirm}</span>}
          </p>
          <CopiedCommand command={check} />
        </li>
      ))}
    </ul>
  )
}

function FlowLink({ id }: { id: number }) {
  if (!flowsById.value.has(id)) return <span class="quiet">flow {id}</span>
  return (
    <button type="button" class="link" onClick={() => select({ flow: id })}>
      flow {id}
    </button>
  )
}

/** A button that shows the first packet, and then the next each time; and one for each of the first few. */
function PacketsOf({ listed }: { listed: ListedFinding }) {
  const now = followed.value?.key === listed.key ? followed.value : null
  const packets = now?.packets ?? []
  return (
    <div class="finding-packets no-print">
      <button
        type="button"
        onClick={() => followFinding(listed)}
        disabled={now !== null && packets.length === 1}
      >
        {packets.length > 1 ? 'Next packet' : 'Show its packets'}
        <span class="only-read"> of {listed.finding.code}</span>
      </button>
      {now === null ? null : (
        <p role="status" class="quiet">
          {now.packets === null
            ? 'reading …'
            : packets.length === 0
              ? 'the page has none of its packets'
              : `packet ${formatCount(packets[now.at]!)}, ${now.at + 1} of ${formatCount(packets.length)}`}
        </p>
      )}
      {packets.length < 2 ? null : (
        <ul class="packet-numbers" aria-label="Packets of the finding">
          {packets.slice(0, MAX_BUTTONS).map((number, at) => (
            <li key={number}>
              <button
                type="button"
                aria-label={`Packet ${number}`}
                aria-current={at === now?.at ? 'true' : undefined}
                onClick={() => showPacket(at)}
              >
                {number}
              </button>
            </li>
          ))}
          {packets.length > MAX_BUTTONS ? <li class="quiet">…</li> : null}
        </ul>
      )}
    </div>
  )
}
