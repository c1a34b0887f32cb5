/** `--expect`, `--junit` and `--tap`: options that analyze and capture share, and what becomes of them at the end. */

import type { Command } from 'commander'
import { HoptraceError } from '../errors.ts'
import { allHold, withExpectations } from '../report/expectations/evaluate.ts'
import { renderJunit } from '../report/expectations/junit.ts'
import { type Expectation, parseExpectation } from '../report/expectations/parse.ts'
import { renderTap } from '../report/expectations/tap.ts'
import { renderExpectationSection } from '../report/expectations/text.ts'
import { type StreamedReport, withArray } from '../report/model.ts'
import { complain, type Output, outputFile } from './output.ts'

export interface ExpectationFlags {
  expect?: Expectation[]
  junit?: string
  tap?: string
}

/** Opening one of the paths would cut a file short that stdout is redirected to. */
export const STDOUT_NAMES: readonly string[] = ['-', '/dev/stdout', '/dev/fd/1', '/proc/self/fd/1']

const HELP = `
--expect takes one condition; README.md has the whole language:
  snat  dnat=172.17.0.2:80  not nat  state=closed     of every flow, and there
  path=container,veth,bridge,uplink  via=bridge       has to be one
  ttl-drop==1  rtt<50ms  p99(bridge,uplink)<1ms
  flows==1  packets>9  lost==0  retransmissions<5     of all flows together
  finding=port-remapped  no-finding=no-reply  no-finding>=warning  errors==0
  flow(port=8080): snat                               of flows as in --filter
  any flow(tcp and net 10.0.0.0/8): dnat              of one of them at least`

/** Adds the options and their help. */
export function addExpectationOptions(command: Command): Command {
  return command
    .option(
      '--expect <expr>',
      "exit with 1 unless this holds: 'snat', 'lost==0', … (repeatable)",
      addExpectation,
    )
    .option('--junit <file>', 'write what came of --expect as JUnit XML')
    .option('--tap <file>', 'write what came of --expect as TAP to FILE, or - for stdout')
    .addHelpText('after', HELP)
}

function addExpectation(value: string, before: Expectation[] = []): Expectation[] {
  return [...before, parseExpectation(value)]
}

/** Whether stdout is for TAP alone. */
export function streamsTap({ tap }: ExpectationFlags): boolean {
  return tap !== undefined && STDOUT_NAMES.includes(tap)
}

/** Throws a `HoptraceError` where the options contradict themselves or others: `forStdout`, and files that are `written`. */
export function checkExpectationFlags(
  flags: ExpectationFlags,
  forStdout: readonly (string | false | undefined)[],
  written: readonly (string | undefined)[],
): void {
  const { expect, junit, tap } = flags
  if (expect === undefined && (junit !== undefined || tap !== undefined))
    throw new HoptraceError(
      `${junit === undefined ? '--tap' : '--junit'} is for what --expect comes to: say with --expect what the run is to show`,
    )
  if (junit !== undefined && STDOUT_NAMES.includes(junit))
    throw new HoptraceError('--junit wants a file: stdout has the report')
  const other = forStdout.find((option) => option)
  if (streamsTap(flags) && other)
    throw new HoptraceError(`--tap - and ${other} both want stdout: give --tap a file`)
  const files = [junit, tap, ...written].filter((path) => path !== undefined && !STDOUT_NAMES.includes(path))
  const twice = files.find((path, i) => files.indexOf(path) < i)
  if (twice !== undefined && [junit, tap].includes(twice))
    throw new HoptraceError(`${twice} is to be written twice: give --junit and --tap files of their own`)
}

/** Where a run that is held to expectations says what came of them. */
export class Verdicts {
  readonly #expectations: readonly Expectation[]
  readonly #junit: Output | null
  readonly #tap: Output | null

  private constructor(expectations: readonly Expectation[], junit: Output | null, tap: Output | null) {
    this.#expectations = expectations
    this.#junit = junit
    this.#tap = tap
  }

  /** Opens the files, so that what cannot be written is told before a long run. Rejects with a `HoptraceError`. */
  static async open(flags: ExpectationFlags, stdout: Output): Promise<Verdicts> {
    const { expect = [], junit, tap } = flags
    const junitFile = junit === undefined ? null : await outputFile(junit, '--junit')
    if (streamsTap(flags)) return new Verdicts(expect, junitFile, stdout)
    return new Verdicts(expect, junitFile, tap === undefined ? null : await outputFile(tap, '--tap'))
  }

  /** The report with what came of each expectation; sets exit code 1 where one does not hold and nothing worse is set. */
  judge(report: StreamedReport): StreamedReport {
    if (this.#expectations.length === 0) return report
    const judged = withExpectations(withArray(report), this.#expectations)
    if (!allHold(judged) && !process.exitCode) process.exitCode = 1
    return { ...report, expectations: judged.expectations! }
  }

  /** Writes TAP and JUnit. `suite` names the run. */
  async write({ expectations = [] }: StreamedReport, suite: string): Promise<void> {
    await this.#tap?.write(renderTap(expectations))
    await this.#junit?.write(renderJunit(expectations, suite))
    await this.#tap?.end()
    await this.#junit?.end()
  }

  /** On stdout, where the report is not shown in full. */
  section(report: StreamedReport, { columns, color }: Output): string {
    return report.expectations ? `\n${renderExpectationSection(report, { columns, color })}` : ''
  }

  /** On stderr, where stdout has something else and nothing tells what came of them. */
  complain({ expectations = [] }: StreamedReport): void {
    for (const { expression, holds, evidence } of expectations)
      complain(`${holds ? 'holds' : 'does not hold'}: ${expression}: ${evidence}`)
  }
}
