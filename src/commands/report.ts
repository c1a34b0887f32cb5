/** `hoptrace report`: one self-contained HTML page about captures. */

import { Command } from 'commander'
import { analyze } from '../analysis.ts'
import { htmlReport } from '../html-report.ts'
import { complain, outputFile } from './output.ts'

interface ReportFlags {
  output: string
}

/** Makes the command. */
export function reportCommand(version: string): Command {
  return new Command('report')
    .description('writes one HTML page that shows path, flows, packets and findings, for any browser')
    .usage('[options] INPUT... -o FILE')
    .argument('[input...]', 'FILE, NAME=FILE, DIR or -, as for analyze')
    .requiredOption('-o, --output <file>', 'the page to write')
    .action(async (inputs: string[], flags: ReportFlags) => {
      const file = await outputFile(flags.output, '--output')
      const analysis = await analyze(inputs, { journeys: true })
      for (const failure of analysis.failures) complain(failure)
      for await (const piece of htmlReport(analysis, analysis.streamed, { inputs, version }))
        await file.write(piece)
      await file.end()
    })
}
