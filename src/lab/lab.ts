/** The lab: built, healed, described and removed. Its state is in names, and in a folder under /run; no process holds it. */

import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { HoptraceError } from '../errors.ts'
import { removeCgroups } from './cgroups.ts'
import { isEngineRunning, startEngine } from './engine.ts'
import { makeImageAndNetwork, settleContainers } from './engine-containers.ts'
import { attempt, endProcesses, identityOf, processesOf } from './processes.ts'
import { requireEngine, run, runAt } from './programs.ts'
import { RULES } from './rules.ts'
import { PROGRAM, settleServices } from './services.ts'
import {
  ALL_STATIONS,
  engineFolder,
  hasEngine,
  type LabNames,
  netnsOf,
  netnsPathOf,
  type Station,
  stationPathOf,
} from './stations.ts'
import { makeNetworks, setNetworks } from './wiring.ts'

/** Another command is waited for so long; one that was just killed takes a moment to be gone. */
const LOCK_PATIENCE_MS = 5000
const LOCK_RETRY_MS = 50

/** A fault that is in the lab. */
export interface IntroducedFault {
  readonly name: string
  /** Whether whoever asks for the state is not to be told. */
  readonly isSecret: boolean
}

/** What there is of a lab. */
export interface LabState {
  /** `partly`: some of it is missing, as after a crash. */
  readonly state: 'up' | 'partly' | 'down'
  readonly stations: readonly Station[]
  readonly processes: number
  readonly fault: IntroducedFault | null
  /** What this kernel could not build. */
  readonly remarks: readonly string[]
}

/**
 * Builds the lab, or heals one that is there; around a Docker engine of its own where one is wanted, or was. Resolves to remarks on
 * what could not be built. Rejects with a `HoptraceError` where there is a lab without the engine that is wanted.
 */
export async function bringUp(names: LabNames, wantsEngine = false): Promise<readonly string[]> {
  const withEngine = wantsEngine || hasEngine(names)
  if (withEngine) requireEngine()
  return await alone(names, async () => {
    const { state } = stateOf(names)
    if (state === 'up' && withEngine !== hasEngine(names))
      throw new HoptraceError(
        `the lab is up, without an engine: sudo hoptrace lab down${names.option} removes it, then lab up --docker${names.option} builds the other`,
      )
    if (state === 'up') await settle(names)
    else await build(names, withEngine)
    return remarksOf(names)
  })
}

/** Builds it in place of what there is. Leaves nothing where it fails: the next one may be wanted without an engine. */
async function build(names: LabNames, withEngine: boolean): Promise<void> {
  remove(names)
  try {
    mkdirSync(`${names.folder}/stations`, { recursive: true, mode: 0o755 })
    if (withEngine) mkdirSync(engineFolder(names), { mode: 0o755 })
    for (const station of ALL_STATIONS)
      symlinkSync(netnsPathOf(names, station), stationPathOf(names, station))
    const remarks = makeNetworks(names)
    if (withEngine) {
      await startEngine(names)
      await makeImageAndNetwork(names)
    }
    await settle(names)
    writeFileSync(completeFile(names), JSON.stringify(remarks))
  } catch (error) {
    remove(names)
    throw error
  }
}

/** Puts all back as it was built. Rejects with a `HoptraceError` where there is no lab. */
export async function heal(names: LabNames): Promise<void> {
  requireUp(names)
  await alone(names, () => settle(names))
}

/** Removes all that belongs to the lab, whatever there is of it. False where there was nothing. */
export async function tearDown(names: LabNames): Promise<boolean> {
  const isGone = stateOf(names).state === 'down' && processesOf(names).length === 0
  if (isGone && !existsSync(lockFile(names))) return false
  await alone(names, async () => remove(names))
  return true
}

export function stateOf(names: LabNames): LabState {
  const stations = ALL_STATIONS.filter((station) => existsSync(netnsPathOf(names, station)))
  const isComplete =
    stations.length === ALL_STATIONS.length &&
    existsSync(completeFile(names)) &&
    (!hasEngine(names) || isEngineRunning(names))
  const isGone = stations.length === 0 && !existsSync(names.folder)
  return {
    state: isComplete ? 'up' : isGone ? 'down' : 'partly',
    stations,
    processes: processesOf(names).length,
    fault: faultOf(names),
    remarks: remarksOf(names),
  }
}

/** Throws a `HoptraceError` that says how to get one, where there is no whole lab. */
export function requireUp(names: LabNames): void {
  const { state } = stateOf(names)
  if (state !== 'up')
    throw new HoptraceError(
      `the lab is ${state === 'down' ? 'not up' : 'not whole'}: sudo hoptrace lab up${names.option} builds it`,
    )
}

/** The fault that is in the lab; null where there is none. */
export function faultOf(names: LabNames): IntroducedFault | null {
  return attempt(() => JSON.parse(readFileSync(faultFile(names), 'utf8')) as IntroducedFault) ?? null
}

export function rememberFault(names: LabNames, fault: IntroducedFault): void {
  writeFileSync(faultFile(names), JSON.stringify(fault), { mode: 0o600 })
}

/** Rules, sizes, routes, settings, servers: all of it, as a fault may be anywhere. */
async function settle(names: LabNames): Promise<void> {
  if (hasEngine(names)) await settleEngine(names)
  for (const [station, rules] of Object.entries(RULES))
    if (!hasEngine(names) || station === 'router') restore(names, station as Station, rules)
  setNetworks(names)
  for (const station of ALL_STATIONS)
    attempt(() => run(names, ['ip', '-n', netnsOf(names, station), 'neigh', 'flush', 'all']))
  await settleServices(names)
  rmSync(faultFile(names), { force: true })
}

/** Containers, and rules as the engine wrote them when the lab was built: it looks after them only when something starts or ends. */
async function settleEngine(names: LabNames): Promise<void> {
  const file = `${engineFolder(names)}/rules`
  const isBuilt = existsSync(file)
  const restoreHost = () => restore(names, 'host', readFileSync(file, 'utf8'))
  // Before the containers as well: without its chains the engine starts none.
  if (isBuilt) restoreHost()
  const areNew = await settleContainers(names, PROGRAM)
  if (!isBuilt) writeFileSync(file, runAt(names, 'host', ['iptables-save']))
  else if (areNew) restoreHost()
}

function restore(names: LabNames, station: Station, rules: string): void {
  runAt(names, station, ['iptables-restore', '-w', '10'], rules)
}

function remove(names: LabNames): void {
  endProcesses(names)
  removeCgroups(names)
  for (const station of ALL_STATIONS) {
    const path = netnsPathOf(names, station)
    if (!existsSync(path)) continue
    attempt(() => run(names, ['ip', 'netns', 'delete', netnsOf(names, station)]))
    // A build that was killed may have made the file, and no namespace yet.
    rmSync(path, { force: true })
  }
  rmSync(names.folder, { recursive: true, force: true })
}

/** One command at a time changes a lab. Rejects with a `HoptraceError` where another one goes on doing so. */
async function alone<T>(names: LabNames, action: () => Promise<T>): Promise<T> {
  const deadline = Date.now() + LOCK_PATIENCE_MS
  while (!takeLock(names)) {
    const [pid] = holderOf(names).split(' ')
    if (Date.now() > deadline)
      throw new HoptraceError(`the lab is being changed by process ${pid}: wait until it has ended`)
    await sleep(LOCK_RETRY_MS)
  }
  try {
    return await action()
  } finally {
    rmSync(lockFile(names), { force: true })
  }
}

/** False where another process has it. One that was killed has it no more. */
function takeLock(names: LabNames): boolean {
  const file = lockFile(names)
  const mine = identityOf(process.pid)!
  if (isWritten(file, mine)) return true
  const holder = holderOf(names)
  const pid = Number(holder.split(' ')[0])
  if (pid > 0 && identityOf(pid) === holder) return false
  rmSync(file, { force: true })
  return isWritten(file, mine)
}

/** False where there is such a file already. */
function isWritten(file: string, text: string): boolean {
  try {
    writeFileSync(file, text, { flag: 'wx' })
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw new HoptraceError(`${file}: cannot be written: the lab keeps its state under /run`)
  }
}

function holderOf(names: LabNames): string {
  return attempt(() => readFileSync(lockFile(names), 'utf8')) ?? ''
}

function remarksOf(names: LabNames): readonly string[] {
  return attempt(() => JSON.parse(readFileSync(completeFile(names), 'utf8')) as string[]) ?? []
}

function lockFile({ folder }: LabNames): string {
  return `${folder}.lock`
}

function completeFile({ folder }: LabNames): string {
  return `${folder}/complete`
}

function faultFile({ folder }: LabNames): string {
  return `${folder}/fault.json`
}
