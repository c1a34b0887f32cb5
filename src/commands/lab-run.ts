/** `hoptrace lab run`: a scenario, captured by this program as a child, then joined and told as `analyze` does. */

import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { analyze } from '../analysis.ts'
import { HoptraceError } from '../errors.ts'
import { captureScenario } from '../lab/capturing.ts'
import { requireUp, stateOf } from '../lab/lab.ts'
import type { Scenario } from '../lab/scenario.ts'
import { scenarioIn, scenarioNamed } from '../lab/scenarios.ts'
import type { LabNames } from '../lab/stations.ts'
import { allHold, withExpectations } from '../report/expectations/evaluate.ts'
import { parseExpectation } from '../report/expectations/parse.ts'
import { renderJsonChunks } from '../report/json.ts'
import type { Report } from '../report/model.ts'
import { paletteFor } from '../report/palette.ts'
import { renderText } from '../report/text.ts'
import { wrapText } from '../report/width.ts'
import { STDOUT_NAMES } from './expectation-options.ts'
import { ExplainedCapture } from './explained-capture.ts'
import { complain, type Output, standardOutput } from './output.ts'

export interface RunFlags {
  write?: string
  json?: boolean
  explain?: boolean
}

/** Runs a scenario. Sets exit code 1 where it does not come out as it should: something is broken. */
export async function runScenario(names: LabNames, name: string, flags: RunFlags): Promise<void> {
  const scenario = scenarioIn(names, scenarioNamed(name))
  if (flags.write !== undefined && STDOUT_NAMES.includes(flags.write))
    throw new HoptraceError('--write wants a file: stdout has the report')
  if (flags.json && flags.explain)
    throw new HoptraceError('--json and --explain both want stdout: choose one')
  requireUp(names)
  requireKernel(names, scenario)
  const folder = mkdtempSync(join(names.folder, 'run-'))
  try {
    const file = flags.write ?? join(folder, 'capture.pcapng')
    const program = [...process.execArgv, process.argv[1]!]
    const { traffic, remarks } = await captureScenario(
      names,
      scenario,
      [process.execPath, ...program],
      file,
      flags.write !== undefined,
    )
    for (const remark of remarks) complain(remark)
    const { report } = await analyze([file])
    const judged = withExpectations(report, scenario.expect.map(parseExpectation))
    if (!allHold(judged)) process.exitCode = 1
    const stdout = standardOutput()
    if (flags.json) for (const piece of renderJsonChunks(judged)) await stdout.write(piece)
    else {
      await stdout.write(renderRun(scenario, traffic, judged, stdout))
      if (flags.explain) await new ExplainedCapture(file).tell({}, stdout)
    }
    await stdout.end()
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function requireKernel(names: LabNames, { needs, name }: Scenario): void {
  const missing = needs && stateOf(names).remarks.some((remark) => remark.includes(needs))
  if (missing) throw new HoptraceError(`the scenario ${name} needs ${needs}, which this kernel does not have`)
}

/** Title, what to look for, what the traffic came to, and the report. */
function renderRun({ title, lookFor }: Scenario, traffic: string[], report: Report, out: Output): string {
  const palette = paletteFor(out.color)
  const columns = Math.max(60, out.columns)
  const text = [
    palette.heading(title),
    '',
    palette.heading('Look for'),
    ...lookFor.flatMap((line) => wrapText(`  · ${line}`, columns, '    ')),
    '',
    palette.heading('Traffic'),
    ...traffic.flatMap((line) => wrapText(`  ${line}`, columns, '      ')),
  ].join('\n')
  return `${text}\n\n${renderText(report, { columns, color: out.color, hidesLinks: true })}`
}
