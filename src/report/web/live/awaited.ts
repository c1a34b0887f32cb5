/** Whether a live page has nothing to show yet, which is no result. */

import { computed } from '@preact/signals'
import { report, source } from '../state.ts'
import { LiveSource } from './live-source.ts'

/** The capture runs, and no flow has been seen so far. */
export const isAwaited = computed(() => {
  const live = source.value
  if (!(live instanceof LiveSource) || report.value!.flows.length > 0) return false
  return live.link.value === 'connected' || live.link.value === 'lost'
})
