/** What the page shows at the moment: everything that a link to it keeps stands in the address behind `#`. */

import { batch, computed, effect, signal } from '@preact/signals'
import type { FlowReport, Report } from '../model.ts'
import type { PageSource } from './source.ts'

/** What is shown of a flow. */
export const VIEWS = ['ladder', 'packet', 'play', 'charts'] as const
export type View = (typeof VIEWS)[number]

export interface Selection {
  flow: number | null
  /** Its number in the flow, as `explain --packet` takes it. */
  packet: number | null
  view: View
}

export const source = signal<PageSource | null>(null)
export const startError = signal<string | null>(null)
export const report = computed<Report | null>(() => source.value?.report.value ?? null)
export const selection = signal<Selection>({ flow: null, packet: null, view: 'ladder' })
/** What the flows table is filtered by. */
export const flowFilter = signal('')

export const flowsById = computed(() => new Map(report.value?.flows.map((flow) => [flow.id, flow])))
export const selectedFlow = computed<FlowReport | null>(
  () => flowsById.value.get(selection.value.flow ?? -1) ?? null,
)
/** Packets of the selected flow, as far as they are there; null while they are read. */
export const selectedPackets = computed(() => {
  const { flow } = selection.value
  return flow === null ? null : (source.value?.packetsOf(flow).value ?? null)
})
export const selectedPacket = computed(
  () => selectedPackets.value?.packets.find(({ number }) => number === selection.value.packet) ?? null,
)

/** Of a filter in an address: longer ones say nothing more. */
const MAX_FILTER = 1000
const REST_MS = 5000

/** Changes what is shown. Another flow begins without a packet. */
export function select(change: Partial<Selection>): void {
  const now = selection.value
  const isOther = change.flow !== undefined && change.flow !== now.flow
  selection.value = { ...now, ...(isOther ? { packet: null } : {}), ...change }
}

export function parseHash(hash: string): Selection {
  const words = new URLSearchParams(hash.replace(/^#/, ''))
  const numberOf = (name: string) => {
    const value = words.get(name)
    return value !== null && /^\d{1,9}$/.test(value) ? Number(value) : null
  }
  const view = VIEWS.find((name) => name === words.get('view'))
  const packet = numberOf('packet')
  return { flow: numberOf('flow'), packet, view: view ?? (packet === null ? 'ladder' : 'packet') }
}

/** What the flows are filtered by, in the address. */
export function parseFilter(hash: string): string {
  return (new URLSearchParams(hash.replace(/^#/, '')).get('filter') ?? '').slice(0, MAX_FILTER)
}

export function renderHash({ flow, packet, view }: Selection, filter = ''): string {
  const words = [
    ...(flow === null ? [] : [`flow=${flow}`]),
    ...(packet === null ? [] : [`packet=${packet}`]),
    ...(flow === null ? [] : [`view=${view}`]),
    ...(filter.trim() === '' ? [] : [`${new URLSearchParams({ filter: filter.slice(0, MAX_FILTER) })}`]),
  ]
  return words.length === 0 ? '' : `#${words.join('&')}`
}

/** Goes where the address says, now and whenever it changes, and keeps it true. Else the first flow is shown. */
export function followHash(): void {
  const read = () => {
    const wanted = parseHash(location.hash)
    const flows = flowsById.peek()
    const first = flows.keys().next().value ?? null
    // At once: what is written in between would change the address that is read.
    batch(() => {
      flowFilter.value = parseFilter(location.hash)
      selection.value =
        wanted.flow !== null && flows.has(wanted.flow) ? wanted : { ...wanted, flow: first, packet: null }
    })
  }
  read()
  addEventListener('hashchange', read)
  let again: ReturnType<typeof setTimeout> | undefined
  const write = (hash: string) => {
    clearTimeout(again)
    if (hash === location.hash) return
    try {
      history.replaceState(null, '', hash || location.pathname + location.search)
    } catch {
      // Safari refuses more than 100 changes in 30 s, which a held key makes: once it rests there is room again.
      again = setTimeout(write, REST_MS, hash)
    }
  }
  effect(() => {
    write(renderHash(selection.value, flowFilter.value))
  })
}
