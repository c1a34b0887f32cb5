/** The selected flow in charts: how long each hop takes, what was sent, what was lost. */

import { type ReadonlySignal, useSignal } from '@preact/signals'
import { useEffect, useMemo, useRef } from 'preact/hooks'
import './charts.css'
import { packetsHereText } from '../flow-counts.ts'
import { NoPackets } from '../no-packets.tsx'
import type { FlowPackets } from '../source.ts'
import { selectedFlow, selectedPackets } from '../state.ts'
import { trafficOf } from './chart-data.ts'
import { LatencyCharts } from './latency-charts.tsx'
import { LossChart, ThroughputChart } from './traffic-charts.tsx'

/** While packets come in, charts are drawn anew no more often than this. */
const REDRAW_MS = 500

export function Charts() {
  const flow = selectedFlow.value!
  const known = useCalm(selectedPackets, flow.id)
  const traffic = useMemo(() => known && trafficOf(known.packets), [known])
  if (known === null || known.packets.length === 0) return <NoPackets />
  const { packets } = known
  if (packets.length === 1) return <p class="quiet">One packet: there is nothing to chart.</p>
  const here = packetsHereText(flow, known)
  return (
    <div class="charts">
      {here === null ? null : (
        <p class="partial">
          {here}, and in these charts: the first ones, and of the rest some that did not simply arrive. The
          flow’s own figures count all.
        </p>
      )}
      <LatencyCharts flow={flow} packets={packets} />
      {traffic === null ? (
        <p class="quiet">All packets were seen at the same moment: there is no time to chart.</p>
      ) : (
        <>
          <ThroughputChart traffic={traffic} />
          <LossChart traffic={traffic} flow={flow} />
        </>
      )}
    </div>
  )
}

/** The value of `source`, a moment later where it changes often; at once where another flow is chosen. */
function useCalm(source: ReadonlySignal<FlowPackets | null>, flow: number): FlowPackets | null {
  const shown = useSignal<{ flow: number; packets: FlowPackets | null }>({ flow, packets: source.value })
  const latest = source.value
  const timer = useRef<ReturnType<typeof setTimeout> | null>(null)
  const stop = () => {
    if (timer.current !== null) clearTimeout(timer.current)
    timer.current = null
  }
  useEffect(() => {
    const { flow: shownFlow, packets } = shown.peek()
    if (shownFlow !== flow || packets === null) {
      stop()
      shown.value = { flow, packets: latest }
    } else if (packets !== latest)
      // What comes until then does not put it off: packets of a live flow may never pause for so long.
      timer.current ??= setTimeout(() => {
        timer.current = null
        shown.value = { flow, packets: source.peek() }
      }, REDRAW_MS)
  }, [latest, flow, source, shown])
  useEffect(() => stop, [])
  return shown.value.flow === flow ? shown.value.packets : latest
}
