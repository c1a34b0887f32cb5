/** The invoking user: who called sudo, and becoming that user as soon as root is not needed any more. */

import { type UserInfo, userInfo } from 'node:os'
import { HoptraceError } from '../../errors.ts'
import { displayText } from '../display-text.ts'

export interface User {
  readonly uid: number
  readonly gid: number
}

function idOf(text: string): number | null {
  // The largest one stands for none (chown(2)).
  return /^\d{1,10}$/.test(text) && Number(text) < 2 ** 32 - 1 ? Number(text) : null
}

/** The user that called sudo, or null where there is none to go back to. Throws a `HoptraceError` where sudo's word makes no sense. */
export function sudoUser(): User | null {
  const { SUDO_UID, SUDO_GID } = process.env
  if (process.geteuid?.() !== 0 || SUDO_UID === undefined) return null
  const [uid, gid] = [idOf(SUDO_UID), idOf(SUDO_GID ?? '')]
  if (uid === null || gid === null)
    throw new HoptraceError(
      `SUDO_UID=${displayText(SUDO_UID)} SUDO_GID=${displayText(SUDO_GID ?? '')} are no user to give root up to: unset them, or call it through sudo`,
    )
  return uid === 0 ? null : { uid, gid }
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
