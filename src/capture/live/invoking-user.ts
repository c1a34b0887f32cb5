/** The invoking user: who called sudo, and becoming that user as soon as root is not needed any more. */

import { type UserInfo, userInfo } from 'node:os'

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
