/** Where the live bench measures: a container on a sealed Docker host, its way to the internet, and iperf3's traffic there. */

import { type SealedHost, startSealedHost } from '../test/live/docker-host.ts'
import { Program } from './live-programs.ts'

/** The points of the way, as hoptrace names them, client side first. */
export const POINTS = ['container', 'veth', 'bridge', 'uplink']
export const CONTAINER = 'web'
export const PORT = 5201

export interface Site {
  host: SealedHost
  /** How to run a command in the container's network namespace. */
  inContainer: string[]
  /** Interface of each point; the first is the container's. */
  interfaces: string[]
}

export interface Traffic {
  name: string
  protocol: 'udp' | 'tcp'
  /** Options of iperf3's client. */
  options: string[]
  /** Which of the figures says how much got through. */
  arrived: string
}

/** What the traffic itself came to. */
export interface Achieved {
  seconds: number
  figures: Record<string, number>
}

/** Starts the host, its container and a server of iperf3 on the internet; `host.stop()` ends them all. */
export async function startSite(): Promise<Site> {
  const host = await startSealedHost('bench')
  try {
    host.docker('run', '--detach', '--name', CONTAINER, 'box', 'sleep', '1000000')
    const inContainer = ['nsenter', `--net=/proc/${host.pidOf(CONTAINER)}/ns/net`]
    // Without --bind it would answer UDP from the address of its interface, which nobody asked.
    const server = ['iperf3', '--server', '--bind', host.internet.ip, '--port', `${PORT}`, '--forceflush']
    await new Program(host.internet, server).untilSaid(/Server listening/)
    return { host, inContainer, interfaces: ['eth0', vethOf(host, inContainer), 'docker0', 'eth0'] }
  } catch (error) {
    await host.stop()
    throw error
  }
}

/** `perSecond` packets of 64 bytes of payload, for `seconds`. */
export function smallPackets(perSecond: number, seconds: number): Traffic {
  const size = 64
  return {
    name: `UDP, ${size} bytes of payload, ${perSecond.toLocaleString('en')} packets/s for ${seconds} s`,
    protocol: 'udp',
    options: ['--udp', '--bitrate', `${perSecond * size * 8}`, '--length', `${size}`, '--time', `${seconds}`],
    arrived: 'arrived, k packets/s',
  }
}

/** So much, as fast as it goes or paced: all of it is written four times, so time is no good limit. */
export function bulk(bytes: number, bitsPerSecond?: number): Traffic {
  const pace = bitsPerSecond === undefined ? 'as fast as it goes' : `at ${bitsPerSecond / 1e9} Gbit/s`
  return {
    name: `TCP, ${bytes / 1e9} GB ${pace}`,
    protocol: 'tcp',
    options: [
      '--bytes',
      `${bytes}`,
      ...(bitsPerSecond === undefined ? [] : ['--bitrate', `${bitsPerSecond}`]),
    ],
    arrived: 'arrived, Gbit/s',
  }
}

/** Sends the traffic from the container to the internet, to its end. */
export async function send(
  { host, inContainer }: Site,
  { protocol, options, arrived }: Traffic,
): Promise<Achieved> {
  const client = ['iperf3', '--client', host.internet.ip, '--port', `${PORT}`, '--json', ...options]
  const { end } = JSON.parse((await new Program(host, [...inContainer, ...client]).untilEnded()).stdout)
  if (protocol === 'tcp') {
    const { sum_sent: sent, sum_received: received } = end
    const figures = { [arrived]: received.bits_per_second / 1e9, 'segments sent again': sent.retransmits }
    return { seconds: sent.seconds, figures }
  }
  const { packets, lost_packets: lost, seconds } = end.sum
  return {
    seconds,
    figures: {
      'sent, k packets/s': packets / seconds / 1e3,
      'missed by receiver, %': (lost / packets) * 100,
      [arrived]: (packets - lost) / seconds / 1e3,
    },
  }
}

/** The host's interface at the other end of the container's cable. */
function vethOf(host: SealedHost, inContainer: string[]): string {
  const [, index] = /eth0@if(\d+)/.exec(host.exec(...inContainer, 'ip', '-o', 'link', 'show', 'eth0')) ?? []
  const [, name] = new RegExp(`^${index}: (\\w+)@`, 'm').exec(host.exec('ip', '-o', 'link')) ?? []
  if (name === undefined) throw new Error('the container has no veth on the host')
  return name
}
