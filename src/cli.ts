/** The command line: wires the commands, and turns errors into one line and an exit code. */

import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import { analyzeCommand } from './commands/analyze.ts'
import { HoptraceError } from './errors.ts'

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string
}

const program = new Command('hoptrace')
  .description(
    "Shows a packet's way through container networking: the same frame at every point, across NAT.",
  )
  .version(version)
  .showHelpAfterError('(hoptrace --help shows the commands)')
  .addHelpText('after', '\nExample:\n  hoptrace analyze captures/outbound-masquerade')
program.addCommand(analyzeCommand().copyInheritedSettings(program))
for (const command of [program, ...program.commands]) command.exitOverride()

try {
  await program.parseAsync()
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2
  else if (error instanceof HoptraceError) {
    process.stderr.write(`hoptrace: ${error.message}\n`)
    process.exitCode = error.exitCode
  } else throw error
}
