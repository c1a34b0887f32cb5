/**
 * The rule tracer: has the kernel trace some packets through the rules of a network namespace. The table that marks them is
 * owned by a child's netlink socket: however we or it end, the kernel removes it.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { runIn, TOOLS_ENVIRONMENT } from '../topology/programs.ts'
import { LineProgram } from './line-program.ts'
import type { TraceReceipt, TraceStep } from './model.ts'
import { OWN_TABLE, TraceKeeper } from './trace-keeper.ts'
import { plainRule } from './trace-lines.ts'
import { type TraceMatch, traceTable } from './trace-matches.ts'

/** What is to be traced. */
export interface TraceTask {
  /** Name of the table, as `OWN_TABLE`: no other run has it. */
  readonly table: string
  readonly matches: readonly TraceMatch[]
}

/** nft has so long to make the table, to listen, and to end, in ms. */
const PATIENCE_MS = 3000
const LOOK_EVERY_MS = 10
/** Groups of nfnetlink: NFNLGRP_NFTRACE is the 9th. */
const TRACE_GROUP = 1 << 8
const NETLINK_NETFILTER = 12
/** nft takes its arguments for a command: only such names are handed to it. */
const PLAIN_NAME = /^[A-Za-z][\w-]{0,60}$/
const MAX_CHAINS = 64
const NO_NFT = 'nft is not installed (package nftables)'

export class RuleTracer {
  readonly #path: string | null
  readonly #owner: ChildProcess
  readonly #monitor: LineProgram
  readonly #keeper: TraceKeeper

  /** Begins in the namespace at `netnsPath` (null: the own one). Resolves with why not where that can't be done. */
  static async begin(netnsPath: string | null, { table, matches }: TraceTask): Promise<RuleTracer | string> {
    if (!OWN_TABLE.test(table)) return 'the table has no name of ours'
    const owner = startOwner(netnsPath)
    const why = await makeTable(owner, table, traceTable(table, matches))
    if (why !== null) {
      owner.kill('SIGKILL')
      return why
    }
    return await new RuleTracer(netnsPath, owner, table).#listening()
  }

  private constructor(netnsPath: string | null, owner: ChildProcess, table: string) {
    this.#path = netnsPath
    this.#owner = owner
    this.#keeper = new TraceKeeper(table)
    this.#monitor = new LineProgram(netnsPath, ['nft', '-a', '-n', 'monitor', 'trace'], (line) =>
      this.#keeper.take(line, String(BigInt(Date.now()) * 1_000_000n)),
    )
  }

  /** Removes the table, and tells what was traced. `why`: it could not listen to the end. */
  async end(): Promise<{ traces: TraceReceipt[]; why: string | null }> {
    await endOwner(this.#owner)
    const { why, missing } = await this.#monitor.stop()
    const traces = await withRules(this.#path, this.#keeper.finish())
    return { traces, why: missing ? NO_NFT : why }
  }

  /** At once, and without a result. */
  close(): void {
    this.#owner.kill('SIGKILL')
    void this.#monitor.stop()
  }

  /** Packets are traced by now; who listens too late would miss the first. */
  async #listening(): Promise<RuleTracer> {
    const deadline = Date.now() + PATIENCE_MS
    let hasEnded = false
    void this.#monitor.ended.then(() => {
      hasEnded = true
    })
    while (!hasEnded && Date.now() < deadline && !isListening(this.#monitor.pid)) await sleep(LOOK_EVERY_MS)
    return this
  }
}

/** An `nft` that takes commands as long as we live, and holds the socket that owns the table. */
function startOwner(netnsPath: string | null): ChildProcess {
  const enter = netnsPath === null ? [] : ['nsenter', `--net=${netnsPath}`]
  return spawn('setpriv', ['--pdeathsig', 'KILL', ...enter, 'nft', '-i'], {
    stdio: 'pipe',
    env: TOOLS_ENVIRONMENT,
    // Ctrl-C in a terminal is not for it.
    detached: true,
  })
}

/** Resolves with null when the table is there, else with what nft says. */
function makeTable(owner: ChildProcess, table: string, commands: string): Promise<string | null> {
  return new Promise((resolve) => {
    let listed = ''
    let wrong = ''
    const timer = setTimeout(() => resolve('nft takes too long'), PATIENCE_MS)
    const end = (why: string | null) => {
      clearTimeout(timer)
      resolve(why)
    }
    const tell = () => {
      const missing = /failed to execute/.test(wrong)
      end(missing ? NO_NFT : (wrong.trim().split('\n')[0] ?? '').slice(0, 300) || 'nft ended')
    }
    owner.on('error', () => end('setpriv is not installed (package util-linux)'))
    owner.on('close', tell)
    owner.stdin!.on('error', () => {})
    owner.stderr!.setEncoding('utf8').on('data', (text: string) => {
      if (wrong.length < 1000) wrong += text
      if (wrong.includes('\n')) tell()
    })
    owner.stdout!.setEncoding('utf8').on('data', (text: string) => {
      listed = (listed + text).slice(-1000)
      if (listed.includes(`table inet ${table}`)) end(null)
    })
    owner.stdin!.write(`${commands}\nlist table inet ${table}\n`)
  })
}

/** The table is gone with the process. */
function endOwner(owner: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (owner.exitCode !== null || owner.signalCode !== null) return resolve()
    const timer = setTimeout(() => owner.kill('SIGKILL'), PATIENCE_MS)
    owner.on('exit', () => {
      clearTimeout(timer)
      resolve()
    })
    owner.stdin!.end()
  })
}

/** Is it in the group that traces are sent to? (`/proc/net/netlink`: sk, Eth, Pid, Groups, …) */
function isListening(pid: number | undefined): boolean {
  try {
    return readFileSync(`/proc/${pid}/net/netlink`, 'utf8')
      .split('\n')
      .map((line) => line.split(/\s+/))
      .some(
        ([, protocol, port, groups]) =>
          Number(protocol) === NETLINK_NETFILTER &&
          Number(port) === pid &&
          (Number.parseInt(groups!, 16) & TRACE_GROUP) !== 0,
      )
  } catch {
    return false
  }
}

/** With each rule's number and text, as far as it still stands there. */
async function withRules(netnsPath: string | null, traces: readonly TraceReceipt[]): Promise<TraceReceipt[]> {
  const chains = new Map<string, TraceStep>()
  for (const { steps } of traces) for (const step of steps) chains.set(chainOf(step), step)
  const listed = [...chains].slice(0, MAX_CHAINS).map(async ([key, step]) => {
    const { family, table, chain } = step
    if (!PLAIN_NAME.test(table) || !PLAIN_NAME.test(chain)) return [key, new Map()] as const
    const words = ['-a', '-n', 'list', 'chain', family, table, chain]
    const outcome = await runIn(netnsPath, 'nft', ...words)
    return [key, rulesIn(outcome.ok ? outcome.stdout : '')] as const
  })
  const rules = new Map<string, ReturnType<typeof rulesIn>>(await Promise.all(listed))
  return traces.map((trace) => ({
    ...trace,
    steps: trace.steps.map((step) => {
      const rule = step.handle === null ? undefined : rules.get(chainOf(step))?.get(step.handle)
      return rule ? { ...step, number: rule.number, text: step.text ?? rule.text } : step
    }),
  }))
}

/** By handle; of what `nft -a list chain` prints. */
export function rulesIn(text: string): Map<number, { number: number; text: string }> {
  const rules = new Map<number, { number: number; text: string }>()
  for (const line of text.split('\n')) {
    const [, rule, handle] = /^\t\t(.*) # handle (\d+)$/.exec(line) ?? []
    if (rule !== undefined)
      rules.set(Number(handle), { number: rules.size + 1, text: plainRule(rule).slice(0, 1000) })
  }
  return rules
}

function chainOf({ family, table, chain }: TraceStep): string {
  return `${family} ${table} ${chain}`
}
