/** `hoptrace points`: shows where frames of containers can be seen, and what stands on their way. */

import { Command } from 'commander'
import { renderPointsJson } from '../report/points-json.ts'
import { renderPoints } from '../report/points-text.ts'
import { discover } from '../topology/discover.ts'
import { addPid, addText } from './option-values.ts'
import { standardOutput } from './output.ts'

interface PointsFlags {
  container?: string[]
  pid?: number[]
  netns?: string[]
  json?: boolean
}

const EXAMPLES = `
Examples:
  hoptrace points                        the host and its containers, in short
  sudo hoptrace points --container web   one in full, with rules and namespaces
  sudo hoptrace points --pid 4711        the network of a process, without Docker
  sudo hoptrace points --netns blue      a name of ip netns, or a path
  hoptrace points --json | jq '.containers[] | {name, mode, sees}'
  DOCKER_HOST=unix:///run/podman/podman.sock hoptrace points`

/** Makes the command. */
export function pointsCommand(): Command {
  return new Command('points')
    .description('shows containers with their veth pairs, bridges, uplink, NAT rules and namespaces')
    .usage('[options]')
    .option('--container <name>', 'name, id or the beginning of either (repeatable)', addText)
    .option('--pid <number>', 'network namespace of a process, without Docker (repeatable)', addPid)
    .option('--netns <name>', 'network namespace by name of ip netns or by path (repeatable)', addText)
    .option('--json', 'print one JSON document (schema hoptrace.points/1)')
    .addHelpText('after', EXAMPLES)
    .action(run)
}

async function run({ container = [], pid = [], netns = [], json }: PointsFlags): Promise<void> {
  const topology = await discover({ containers: container, pids: pid, netns })
  const stdout = standardOutput()
  const isChosen = container.length + pid.length + netns.length > 0
  const { columns, color } = stdout
  await stdout.write(json ? renderPointsJson(topology) : renderPoints(topology, { columns, color, isChosen }))
  await stdout.end()
}
