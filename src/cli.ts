/** The command line: wires the commands, and turns errors into one line and an exit code. */

import { Command, CommanderError } from 'commander'
import { analyzeCommand } from './commands/analyze.ts'
import { captureCommand } from './commands/capture.ts'
import { explainCommand } from './commands/explain.ts'
import { labCommand } from './commands/lab.ts'
import { complain } from './commands/output.ts'
import { pointsCommand } from './commands/points.ts'
import { reportCommand } from './commands/report.ts'
import { HoptraceError } from './errors.ts'
import { VERSION } from './version.ts'

const program = new Command('hoptrace')
  .description(
    "Shows a packet's way through container networking: the same frame at every point, across NAT.",
  )
  .version(VERSION)
  .configureHelp({ subcommandTerm: (command) => `${command.name()} ${command.usage()}` })
  .addHelpText('after', '\nExample:\n  hoptrace analyze captures/outbound-masquerade')
program.addCommand(analyzeCommand())
program.addCommand(explainCommand())
program.addCommand(reportCommand())
program.addCommand(pointsCommand())
program.addCommand(captureCommand())
program.addCommand(labCommand())
endInOneLine(program, 'hoptrace')

// A reader that has gone is no error: of --help, which commander writes, as little as of a report.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})

try {
  await program.parseAsync()
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2
  else if (error instanceof HoptraceError) {
    complain(error.message)
    process.exitCode = error.exitCode
  } else if (isSystemError(error)) {
    complain(error.message)
    process.exitCode = 2
  } else throw error
}

/** A full disk or a missing temporary folder is not a bug of ours: its message says all, a stack would say nothing. */
function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  const { errno, syscall } = error as NodeJS.ErrnoException
  return typeof errno === 'number' && typeof syscall === 'string'
}

/** What commander has to complain of, for a command and those in it. */
function endInOneLine(command: Command, name: string): void {
  command.exitOverride().configureOutput({
    outputError: (text) => complain(`${text.trim().replace(/^error: /, '')} (${name} --help shows how)`),
  })
  for (const one of command.commands) endInOneLine(one, `${name} ${one.name()}`)
}
