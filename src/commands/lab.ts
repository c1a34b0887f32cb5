/** `hoptrace lab`: a network of containers, host, router and internet to learn on, without Docker; with faults to be found. */

import { spawnSync } from 'node:child_process'
import { Command } from 'commander'
import { HoptraceError } from '../errors.ts'
import { judgeAnswer } from '../lab/answers.ts'
import { engineVersion } from '../lab/engine-api.ts'
import { FAULTS, faultNamed } from '../lab/faults.ts'
import { bringUp, faultOf, heal, rememberFault, requireUp, stateOf, tearDown } from '../lab/lab.ts'
import { requireLab } from '../lab/programs.ts'
import { SCENARIOS } from '../lab/scenarios.ts'
import {
  engineAddress,
  hasEngine,
  type LabNames,
  labNames,
  netnsOf,
  netnsPathOf,
  STATIONS,
  type Station,
  stationNamed,
} from '../lab/stations.ts'
import { renderWorksheet } from '../lab/worksheet.ts'
import { wrapText } from '../report/width.ts'
import { type RunFlags, runScenario } from './lab-run.ts'
import { complain, outputFile, standardOutput } from './output.ts'

interface NameFlag {
  name?: string
}

const EXAMPLES = `
Examples:
  sudo hoptrace lab up                     builds it: two seconds, no Docker
  hoptrace lab list                        scenarios and faults
  sudo hoptrace lab run outbound           makes traffic and shows its way
  sudo hoptrace lab run outbound --explain and each header field of the SYN
  sudo hoptrace lab run double-nat -w nat.pcapng
  sudo hoptrace lab shell container1       a shell in a container's network
  sudo hoptrace lab break --random --secret
  sudo hoptrace lab run published          what does it show?
  sudo hoptrace lab check "the server listens on 127.0.0.1 only"
  sudo hoptrace lab fix
  hoptrace lab worksheet -o exercises.md   and with --solutions, for the teacher
  sudo hoptrace lab down

It is made of network namespaces of its own (ip netns list shows them): the
machine's own interfaces and rules are not touched. --name NAME is another lab.
With lab up --docker the containers and their rules are made by a Docker engine
that the lab starts for itself; the machine's own engine is not touched.`

/** Makes the command. */
export function labCommand(): Command {
  const lab = new Command('lab')
    .description('a network to learn on: builds it, runs scenarios in it, breaks and heals it')
    .usage('COMMAND [options]')
    .addHelpText('after', EXAMPLES)
    .configureHelp({ subcommandTerm: (command) => `${command.name()} ${command.usage()}`.trim() })
  const named = (words: string, usage = '') => {
    const command = new Command(words).usage(usage).option('--name <name>', 'the lab of this name')
    lab.addCommand(command)
    return command
  }
  named('up')
    .description('builds the lab, or heals one that is there')
    .option('--docker', 'around a Docker engine of its own, made of the dockerd that is installed here')
    .action(up)
  named('down').description('removes all of it, after a crash as well').action(down)
  named('status').description('shows what there is of it').action(status)
  lab.addCommand(new Command('list').usage('').description('lists scenarios and faults').action(list))
  named('run', 'SCENARIO [options]')
    .description('makes traffic, captures it at all points, and shows its way')
    .argument('<scenario>', `one of ${SCENARIOS.map(({ name }) => name).join(', ')}`)
    .option('-w, --write <file>', 'keep the capture (pcapng)')
    .option('--json', 'print the report as one JSON document (schema hoptrace.report/1)')
    .option('--explain', 'also walk one packet and its answer, hop by hop')
    .action((scenario: string, flags: RunFlags & NameFlag) => runScenario(ready(flags), scenario, flags))
  named('break', '[FAULT] [options]')
    .description('introduces a fault')
    .argument('[fault]', `one of ${FAULTS.map(({ name }) => name).join(', ')}`)
    .option('--random', 'any of them')
    .option('--secret', 'without saying which')
    .action(introduce)
  named('check', 'ANSWER')
    .description('says whether this is the fault; exit code 1 if not')
    .argument('<answer...>', 'in your words')
    .action(check)
  named('fix').description('takes the fault out again').action(fix)
  lab.addCommand(
    new Command('worksheet')
      .usage('-o FILE.md [--solutions]')
      .description('writes exercises, from easy to hard')
      .requiredOption('-o, --output <file>', 'Markdown goes to this file, or - for stdout')
      .option('--solutions', 'with solutions, for the teacher')
      .action(worksheet),
  )
  named('shell', 'STATION [-- COMMAND...]')
    .description('a shell, or one command, in the network of a station')
    .argument('<station>', `one of ${shownStations().join(', ')}`)
    .argument('[command...]', 'instead of a shell')
    .action(shell)
  return lab
}

/** Names of the lab, where this user may work on it. */
function ready({ name }: NameFlag): LabNames {
  const names = labNames(name)
  requireLab()
  return names
}

async function up(flags: NameFlag & { docker?: boolean }): Promise<void> {
  const names = ready(flags)
  for (const remark of await bringUp(names, flags.docker)) complain(remark)
  await print([
    `The lab is up: ${shownStations().length} stations. hoptrace lab list shows what to do with it.`,
    `sudo hoptrace lab down${names.option} removes it.`,
  ])
}

async function down(flags: NameFlag): Promise<void> {
  const names = ready(flags)
  const wasThere = await tearDown(names)
  await print([wasThere ? 'The lab is gone.' : 'There is no lab; nothing to remove.'])
}

async function status(flags: NameFlag): Promise<void> {
  const names = ready(flags)
  const { state, stations, processes, fault, remarks } = stateOf(names)
  if (state === 'down') return await print(['The lab is down.'])
  const lines = shownStations().map((station) => {
    const { ip, what } = STATIONS[station]
    const there = stations.includes(station) ? netnsOf(names, station) : 'missing'
    return `  ${station.padEnd(11)} ${ip.padEnd(15)} ${what} (${there})`
  })
  const engine = hasEngine(names) ? await engineLines(names) : []
  const faultLine = `Fault      ${fault === null ? 'none' : fault.isSecret ? 'there is one; which one is secret' : fault.name}`
  const head =
    state === 'up'
      ? 'The lab is up.'
      : `The lab is not whole: sudo hoptrace lab up${names.option} builds it anew.`
  await print(
    [head, '', 'Stations', ...lines, '', ...engine, `Processes  ${processes}`, faultLine, ...remarks],
    ' '.repeat(30),
  )
}

/** How to reach the engine. */
async function engineLines(names: LabNames): Promise<string[]> {
  const version = await engineVersion(names)
  if (version === null) return ['Engine     does not answer']
  return [`Engine     Docker ${version}`, `  DOCKER_HOST=${engineAddress(names)}`]
}

async function list(): Promise<void> {
  const scenarios = SCENARIOS.map(({ name, title }) => `  ${name.padEnd(18)} ${title}`)
  const faults = FAULTS.map(({ name, symptom }) => `  ${name.padEnd(18)} ${symptom}`)
  const indent = ' '.repeat(21)
  await print(
    [
      'Scenarios  sudo hoptrace lab run SCENARIO',
      ...scenarios,
      '',
      'Faults  sudo hoptrace lab break FAULT',
      ...faults,
    ],
    indent,
  )
}

interface BreakFlags extends NameFlag {
  random?: boolean
  secret?: boolean
}

async function introduce(text: string | undefined, flags: BreakFlags): Promise<void> {
  const names = ready(flags)
  if ((text === undefined) === (flags.random === undefined))
    throw new HoptraceError('lab break: name one fault, which lab list shows, or give --random')
  const fault = text === undefined ? FAULTS[Math.floor(Math.random() * FAULTS.length)]! : faultNamed(text)
  requireUp(names)
  if (faultOf(names) !== null)
    throw new HoptraceError(
      `there is a fault in the lab already: sudo hoptrace lab fix${names.option} takes it out`,
    )
  rememberFault(names, { name: fault.name, isSecret: flags.secret === true })
  await fault.introduce(names)
  await print([
    flags.secret ? 'Something is broken.' : `Broken: ${fault.name}.`,
    `People say: ${fault.symptom}. Look, and then say what it is:`,
    `  sudo hoptrace lab run ${fault.scenario}${names.option}`,
    `  sudo hoptrace lab check${names.option} "what it is"`,
  ])
}

async function check(words: string[], flags: NameFlag): Promise<void> {
  const names = ready(flags)
  requireUp(names)
  const introduced = faultOf(names)
  if (introduced === null)
    throw new HoptraceError('no fault is in the lab: sudo hoptrace lab break brings one')
  const fault = faultNamed(introduced.name)
  const verdict = judgeAnswer(words.join(' '), fault)
  if (verdict !== 'right') process.exitCode = 1
  await print([
    verdict === 'right'
      ? `Right. ${fault.solution}`
      : verdict === 'wrong'
        ? 'No, that is not it.'
        : 'That names several causes: give the one that it is.',
    ...(verdict === 'right' ? [`sudo hoptrace lab fix${names.option} heals it.`] : []),
  ])
}

async function fix(flags: NameFlag): Promise<void> {
  const names = ready(flags)
  await heal(names)
  await print(['All is as it was built.'])
}

async function worksheet({ output, solutions }: { output: string; solutions?: boolean }): Promise<void> {
  const out = output === '-' ? standardOutput() : await outputFile(output, '-o')
  await out.write(renderWorksheet(solutions === true))
  await out.end()
}

function shell(text: string, command: string[], flags: NameFlag): void {
  const names = ready(flags)
  const station = stationNamed(text)
  requireUp(names)
  const words = command.length > 0 ? command : [process.env.SHELL || '/bin/sh']
  if (command.length === 0) complain(`a shell in the network of ${station}; exit leaves it`)
  const { status, error } = spawnSync('nsenter', [`--net=${netnsPathOf(names, station)}`, '--', ...words], {
    env: {
      ...process.env,
      HOPTRACE_LAB_STATION: station,
      PS1: `${station}# `,
      ...(hasEngine(names) && { DOCKER_HOST: engineAddress(names) }),
    },
    stdio: 'inherit',
  })
  if (error) throw new HoptraceError(`lab shell: nsenter: ${error.message}`)
  process.exitCode = status ?? 1
}

/** All but the engine's own. */
function shownStations(): Station[] {
  return (Object.keys(STATIONS) as Station[]).filter((station) => STATIONS[station].ip !== '-')
}

async function print(lines: readonly string[], indent = ''): Promise<void> {
  const stdout = standardOutput()
  const wrapped = lines.flatMap((line) => wrapText(line, Math.max(60, stdout.columns), indent))
  await stdout.write(`${wrapped.join('\n')}\n`)
  await stdout.end()
}
