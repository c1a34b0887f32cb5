/**
 * Preloaded into a measured Node process: at its end it writes the peak of its resident memory, in bytes, to the file
 * that PEAK_RSS_FILE names. (Linux: VmHWM, since ru_maxrss begins with what the parent process had.)
 */

import { readFileSync, writeFileSync } from 'node:fs'
import { isMainThread } from 'node:worker_threads'

const file = process.env.PEAK_RSS_FILE
if (file !== undefined && isMainThread) process.on('exit', () => writeFileSync(file, String(peakRssBytes())))

function peakRssBytes(): number {
  try {
    const peak = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))
    if (peak) return Number(peak[1]) * 1024
  } catch {
    // Not Linux.
  }
  return process.resourceUsage().maxRSS * 1024
}
