/** Option values: the parsers that commander calls; a wrong value ends in one line that says what is wanted. */

import { isIP } from 'node:net'
import { InvalidArgumentError } from 'commander'
import { displayText } from '../capture/display-text.ts'
import { UDP_TUNNELS, type UdpTunnel, USUAL_TUNNEL_PORTS } from '../decode/udp-tunnels.ts'
import { HoptraceError } from '../errors.ts'
import type { FlowFilter } from '../report/filter.ts'
import { parseFilterExpression } from '../report/filter-expression.ts'
import { POINT_NAME } from '../topology/explicit-points.ts'

/** Larger than any process number that Linux gives. */
const MAX_PID = 2 ** 22

/** `a,b,c` → names as points show theirs. */
export function nameList(value: string): string[] {
  const names = value.split(',').map((name) => displayText(name.trim()))
  if (names.some((name) => name === ''))
    throw new InvalidArgumentError('Give names separated by commas: a,b,c')
  return names
}

/** A name, behind those that were given before. */
export function addName(value: string, before: string[] = []): string[] {
  return [...before, displayText(value)]
}

/** An IP address, behind those that were given before. */
export function addAddress(value: string, before: string[] = []): string[] {
  if (isIP(value) === 0 || value.includes('%'))
    throw new InvalidArgumentError('Give an IP address, such as 172.17.0.3')
  return [...before, value]
}

/** A port (or ICMP echo id), behind those that were given before. */
export function addPort(value: string, before: number[] = []): number[] {
  if (!/^\d{1,5}$/.test(value) || Number(value) > 0xffff)
    throw new InvalidArgumentError('Give a number from 0 to 65535')
  return [...before, Number(value)]
}

/** A TCP port to listen at, or 0 for any. */
export function portOrAny(value: string): number {
  return addPort(value)[0]!
}

/** A number that counts from 1, behind those that were given before. */
export function addCount(value: string, before: number[] = []): number[] {
  if (!/^0*[1-9]\d{0,8}$/.test(value)) throw new InvalidArgumentError('Give a number from 1 on')
  return [...before, Number(value)]
}

/** `8888=vxlan` or `4789=none`, on top of what was given before, and of the usual ports; the last word on a port counts. */
export function decodeAs(value: string, before = USUAL_TUNNEL_PORTS): ReadonlyMap<number, UdpTunnel> {
  const [, port, kind] = /^(\d{1,5})=([a-z]+)$/i.exec(value) ?? []
  const tunnel = UDP_TUNNELS.find((name) => name === kind?.toLowerCase())
  const isNone = kind?.toLowerCase() === 'none'
  if (port === undefined || Number(port) < 1 || Number(port) > 0xffff || !(tunnel || isNone))
    throw new InvalidArgumentError(
      `Give PORT=KIND, such as 8888=vxlan; KIND is ${UDP_TUNNELS.join(', ')} or none`,
    )
  const ports = new Map(before)
  if (tunnel) ports.set(Number(port), tunnel)
  else ports.delete(Number(port))
  return ports
}

/** `3=docker0` or `any:3=docker0`, beside those that were given before: index, or FILE:INDEX → name. */
export function interfaceName(
  value: string,
  before: ReadonlyMap<string, string> = new Map(),
): ReadonlyMap<string, string> {
  const equals = value.lastIndexOf('=')
  const [, file, index] = /^(?:(.+):)?(\d{1,10})$/s.exec(value.slice(0, Math.max(0, equals))) ?? []
  const name = value.slice(equals + 1)
  if (index === undefined || Number(index) > 0xffffffff)
    throw new InvalidArgumentError('Give INDEX=NAME or FILE:INDEX=NAME, such as 3=docker0 or any:3=docker0')
  if (!POINT_NAME.test(name))
    throw new InvalidArgumentError('A point needs a name of letters, digits, dots and dashes, at most 60')
  const key = file === undefined ? `${Number(index)}` : `${file}:${Number(index)}`
  if (before.has(key))
    throw new InvalidArgumentError(`Interface ${displayText(key)} has a name already: ${before.get(key)}`)
  if ([...before.values()].includes(name))
    throw new InvalidArgumentError(`Another interface is called ${name} already: give each its own name`)
  return new Map([...before, [key, name]])
}

/** A filter expression. Two of them would leave open whether one or both must hold. */
export function filterExpression(
  value: string,
  before?: FlowFilter['expression'],
): NonNullable<FlowFilter['expression']> {
  if (before) throw new HoptraceError("--filter is given twice: join the two with 'and' or 'or'")
  return { text: value, matches: parseFilterExpression(value) }
}

/** A name of whatever kind, as it stands, behind those that were given before. */
export function addText(value: string, before: string[] = []): string[] {
  if (value === '') throw new InvalidArgumentError('Give a name')
  return [...before, value]
}

/** A process number, behind those that were given before. */
export function addPid(value: string, before: number[] = []): number[] {
  const pid = /^\d{1,7}$/.test(value) ? Number(value) : 0
  if (pid < 1 || pid > MAX_PID) throw new InvalidArgumentError('Give the number of a process')
  return [...before, pid]
}

/** A number that counts from 1. */
export function count(value: string): number {
  return addCount(value)[0]!
}
