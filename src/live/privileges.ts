/** Privileges: whether this process may capture, and giving up root as soon as it is not needed any more. */

import { readFileSync } from 'node:fs'
import { type UserInfo, userInfo } from 'node:os'
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

export interface User {
  readonly uid: number
  readonly gid: number
}

/** The user that called sudo, or null where there is none to go back to. */
export function sudoUser(): User | null {
  const { SUDO_UID, SUDO_GID } = process.env
  if (process.geteuid?.() !== 0 || !/^\d+$/.test(SUDO_UID ?? '') || !/^\d+$/.test(SUDO_GID ?? '')) return null
  const uid = Number(SUDO_UID)
  return uid === 0 ? null : { uid, gid: Number(SUDO_GID) }
}

/** Becomes this user for good. What is open stays open; programs that are started later find themselves at the user's home. */
export function becomeUser({ uid, gid }: User): void {
  joinGroups(uid, gid)
  process.setgid!(gid)
  process.setuid!(uid)
  // The way back must be closed: a parser of strangers' packets is no place for root.
  let isRootAgain = true
  try {
    process.setuid!(0)
  } catch {
    isRootAgain = false
  }
  if (isRootAgain) throw new Error('root could not be given up')
  const { username, homedir } = knownUser() ?? {}
  Object.assign(process.env, username && { USER: username, LOGNAME: username }, homedir && { HOME: homedir })
}

/** With the groups that the user has elsewhere: Docker's may be among them. */
function joinGroups(uid: number, gid: number): void {
  try {
    ;(process as { initgroups?(user: number, gid: number): void }).initgroups!(uid, gid)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_UNKNOWN_CREDENTIAL') throw error
    // Without an entry in passwd there are no other groups.
    process.setgroups!([gid])
  }
}

function knownUser(): UserInfo<string> | null {
  try {
    return userInfo()
  } catch {
    return null
  }
}
