/** Processes of a lab, found by their namespace and their mark, and ended by their number: whoever started them may be gone. */

import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs'
import { MARK, SERVICE_MARK } from './programs.ts'
import { ALL_STATIONS, cgroupOf, type LabNames, netnsPathOf, type Station } from './stations.ts'

const TRIES = 250
const PAUSE_MS = 20

/** Ends all processes of a lab but for this one and those that it was started by, and waits until they are gone. */
export function endProcesses(names: LabNames): void {
  for (let tries = 0; tries < TRIES; tries++) {
    const pids = processesOf(names)
    if (pids.length === 0) return
    for (const pid of pids) signal(pid, 'SIGKILL')
    pause(PAUSE_MS)
  }
}

/** All processes of a lab: in one of its namespaces, in one of its engine's containers, or started by it. This one and its ancestors are left out. */
export function processesOf(names: LabNames): number[] {
  const own = ancestors()
  const nets = ALL_STATIONS.flatMap((station) => {
    const inode = attempt(() => statSync(netnsPathOf(names, station)).ino)
    return inode === undefined ? [] : `net:[${inode}]`
  })
  return allProcesses().filter(
    (pid) =>
      !own.has(pid) &&
      (variablesOf(pid).includes(`${MARK}=${names.base}`) || isIn(pid, nets) || isContained(names, pid)),
  )
}

/** The servers of a station. */
export function serversOf(names: LabNames, station: Station): number[] {
  return allProcesses().filter((pid) => {
    const variables = variablesOf(pid)
    return variables.includes(`${MARK}=${names.base}`) && variables.includes(`${SERVICE_MARK}=${station}`)
  })
}

/** Whether it is neither stopped by a signal nor gone. */
export function isRunning(pid: number): boolean {
  const status = attempt(() => readFileSync(`/proc/${pid}/status`, 'utf8')) ?? ''
  return /^State:\s*[RSD]/m.test(status)
}

export function commandLineOf(pid: number): string {
  const words = attempt(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8')) ?? ''
  return words.split('\0').join(' ').trimEnd()
}

/** Ends these processes, and waits until they are gone. */
export function endServers(names: LabNames, station: Station): void {
  for (let tries = 0; tries < TRIES; tries++) {
    const pids = serversOf(names, station)
    if (pids.length === 0) return
    for (const pid of pids) signal(pid, 'SIGKILL')
    pause(PAUSE_MS)
  }
}

/** Of a process, `NNN NNN`: its number and when it started. Numbers come again, this does not. Null where it is gone. */
export function identityOf(pid: number): string | null {
  const stat = attempt(() => readFileSync(`/proc/${pid}/stat`, 'utf8'))
  const [state, ...fields] = stat?.slice(stat.lastIndexOf(')') + 2).split(' ') ?? []
  // A zombie has ended; only its parent has not noticed.
  return state === undefined || state === 'Z' || state === 'X' ? null : `${pid} ${fields[18]}`
}

export function signal(pid: number, name: NodeJS.Signals): void {
  attempt(() => process.kill(pid, name))
}

function ancestors(): Set<number> {
  const found = new Set<number>()
  for (let pid = process.pid; pid > 0 && !found.has(pid); ) {
    found.add(pid)
    const status = attempt(() => readFileSync(`/proc/${pid}/status`, 'utf8')) ?? ''
    pid = Number(/^PPid:\s*(\d+)/m.exec(status)?.[1] ?? 0)
  }
  return found
}

function allProcesses(): number[] {
  return readdirSync('/proc').flatMap((name) => (/^\d+$/.test(name) ? Number(name) : []))
}

/** None of a zombie: it holds nothing any more. */
function variablesOf(pid: number): string[] {
  return attempt(() => readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0')) ?? []
}

/** Whether any of its threads is in one of these namespaces. */
function isIn(pid: number, nets: readonly string[]): boolean {
  const threads = attempt(() => readdirSync(`/proc/${pid}/task`)) ?? []
  return threads.some((thread) => {
    const net = attempt(() => readlinkSync(`/proc/${pid}/task/${thread}/ns/net`))
    return net !== undefined && nets.includes(net)
  })
}

/** Whether it is in a container of the lab's engine. */
function isContained(names: LabNames, pid: number): boolean {
  const cgroups = attempt(() => readFileSync(`/proc/${pid}/cgroup`, 'utf8')) ?? ''
  // A zombie may still have one, but no namespace.
  return (
    cgroups.includes(`${cgroupOf(names)}/`) &&
    attempt(() => readlinkSync(`/proc/${pid}/ns/net`)) !== undefined
  )
}

export function attempt<T>(action: () => T): T | undefined {
  try {
    return action()
  } catch {
    return undefined
  }
}

export function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}
