/** The freezer: whether the processes of a container are stopped, as `docker pause` does. */

import { join, normalize } from 'node:path'
import type { ReadText } from './settings.ts'

const ROOT = '/sys/fs/cgroup'

/** Is the process frozen by its control group (cgroups(7), both versions)? Null where that cannot be read. */
export function isFrozen(pid: number, read: ReadText): boolean | null {
  for (const line of (read(`/proc/${pid}/cgroup`) ?? '').split('\n')) {
    const [, controllers = '', path = ''] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? []
    // A path outside of what is mounted here.
    if (path === '' || normalize(path) !== path || path.startsWith('/..')) continue
    if (controllers === '') {
      const frozen = /^frozen ([01])$/m.exec(read(join(ROOT, path, 'cgroup.events')) ?? '')?.[1]
      if (frozen !== undefined) return frozen === '1'
    } else if (controllers.split(',').includes('freezer')) {
      const state = read(join(ROOT, 'freezer', path, 'freezer.state'))?.trim()
      if (state !== undefined) return state !== 'THAWED'
    }
  }
  return null
}
