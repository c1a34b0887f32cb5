/** Network namespaces: doing something inside one, on this thread, and coming back. */

import { closeSync, constants, openSync } from 'node:fs'
import { HoptraceError } from '../../errors.ts'
import { displayText } from '../display-text.ts'
import { SystemCallError, systemCalls } from './system.ts'

const CLONE_NEWNET = 0x40000000

/**
 * Runs `work` with this thread inside the network namespace at `path` (null: stays where it is). Everything in it must
 * be synchronous: other work on this thread would find itself in the wrong namespace. Throws a `HoptraceError` where
 * the namespace can't be entered.
 */
export function inNetworkNamespace<T>(path: string | null, work: () => T): T {
  if (path === null) return work()
  const { setns } = systemCalls()
  const home = openSync('/proc/thread-self/ns/net', 'r')
  try {
    enter(path)
    try {
      return work()
    } finally {
      // Where this fails nothing that follows is right: better no program than one that captures elsewhere.
      setns(home, CLONE_NEWNET)
    }
  } finally {
    closeSync(home)
  }
}

function enter(path: string): void {
  let fd = -1
  try {
    // Not to wait for the other end of what is a FIFO.
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    systemCalls().setns(fd, CLONE_NEWNET)
  } catch (error) {
    throw namespaceError(path, error)
  } finally {
    if (fd >= 0) closeSync(fd)
  }
}

function namespaceError(path: string, error: unknown): HoptraceError {
  const { code } = error as NodeJS.ErrnoException
  if (code === undefined) throw error
  const shown = displayText(path, 200)
  if (code === 'EPERM' || code === 'EACCES')
    return new HoptraceError(
      `${shown}: may not be entered: run it as root (sudo hoptrace …), or with CAP_SYS_ADMIN, CAP_SYS_PTRACE and CAP_NET_RAW`,
      3,
    )
  if (code === 'ENOENT')
    return new HoptraceError(`${shown}: no such network namespace: did its container or process end?`)
  if (code === 'EINVAL' || error instanceof SystemCallError)
    return new HoptraceError(`${shown}: is no network namespace (${code})`)
  return new HoptraceError(`${shown}: can't be opened (${code})`)
}
