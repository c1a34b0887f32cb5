/** Privileges: whether this process may capture, and what it lacks for it. */

import { readFileSync } from 'node:fs'
import { HoptraceError } from '../errors.ts'

/** Bits of capabilities(7). */
const CAP_NET_RAW = 13
const CAP_SYS_PTRACE = 19
const CAP_SYS_ADMIN = 21

/**
 * Throws a `HoptraceError` (exit code 3) that names what is missing. Other namespaces (`entersNamespaces`) need more
 * than the interfaces of one's own.
 */
export function requireCapturing(entersNamespaces: boolean): void {
  if (process.platform !== 'linux') return
  const held = effectiveCapabilities()
  const needed = entersNamespaces ? { CAP_NET_RAW, CAP_SYS_ADMIN, CAP_SYS_PTRACE } : { CAP_NET_RAW }
  const missing = Object.entries(needed).filter(([, bit]) => !((held >> BigInt(bit)) & 1n))
  if (missing.length > 0)
    throw new HoptraceError(
      `capturing is not permitted: it needs root (sudo hoptrace capture …), or the capabilities ${Object.keys(needed).join(', ')} (missing: ${missing.map(([name]) => name).join(', ')})`,
      3,
    )
}

/** Whether the interfaces of one's own namespace may be captured. */
export function mayCaptureHere(): boolean {
  return process.platform !== 'linux' || ((effectiveCapabilities() >> BigInt(CAP_NET_RAW)) & 1n) === 1n
}

function effectiveCapabilities(): bigint {
  const status = readFileSync('/proc/self/status', 'utf8')
  return BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? '0'}`)
}
