/** Options about what is read and which flows of it are wanted, for analyze and report alike. */

import type { Command } from 'commander'
import type { AnalysisOptions } from '../analysis.ts'
import type { UdpTunnel } from '../decode/udp-tunnels.ts'
import type { FlowFilter } from '../report/filter.ts'
import {
  addAddress,
  addCount,
  addName,
  addPort,
  decodeAs,
  filterExpression,
  interfaceName,
  nameList,
} from './option-values.ts'

export interface SelectionFlags {
  path?: string[]
  host?: string[]
  port?: number[]
  proto?: string[]
  flow?: number[]
  filter?: FlowFilter['expression']
  decodeAs?: ReadonlyMap<number, UdpTunnel>
  ifname?: ReadonlyMap<string, string>
  keepClocks?: boolean
}

/** Adds the options. */
export function addSelectionOptions(command: Command): Command {
  return command
    .option('--path <points>', 'order of the points, client side first: a,b,c', nameList)
    .option('--host <ip>', 'only flows with this address at any point (repeatable)', addAddress)
    .option('--port <number>', 'only flows with this port at any point (repeatable)', addPort)
    .option('--proto <name>', 'only flows of this protocol: tcp, udp, icmp, … (repeatable)', addName)
    .option(
      '--filter <expr>',
      "only flows for which this holds at a point: 'src net 172.17.0.0/16 and tcp port 80 or 443'",
      filterExpression,
    )
    .option('--flow <id>', 'only this flow, in detail (repeatable)', addCount)
    .option(
      '--decode-as <port=kind>',
      'a tunnel behind this UDP port: 8888=vxlan, geneve, gtpu or none (repeatable)',
      decodeAs,
    )
    .option(
      '--ifname <index=name>',
      'what to call interface INDEX of a `tcpdump -i any` file: 3=docker0, or any:3=docker0 (repeatable)',
      interfaceName,
    )
    .option('--keep-clocks', 'leave times as recorded, even where hosts have clocks that differ')
}

/** What the reading needs to know of them. */
export function readingOptions(
  flags: SelectionFlags,
): Pick<AnalysisOptions, 'path' | 'tunnelPorts' | 'interfaceNames' | 'keepClocks'> {
  return {
    ...(flags.decodeAs ? { tunnelPorts: flags.decodeAs } : {}),
    ...(flags.ifname ? { interfaceNames: flags.ifname } : {}),
    ...(flags.keepClocks ? { keepClocks: true } : {}),
    ...(flags.path ? { path: flags.path } : {}),
  }
}

export function filterOf(flags: SelectionFlags): FlowFilter {
  return {
    hosts: flags.host ?? [],
    ports: flags.port ?? [],
    protocols: flags.proto ?? [],
    ids: flags.flow ?? [],
    expression: flags.filter,
  }
}
