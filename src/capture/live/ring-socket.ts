/** The ring's socket: bound to an interface in its namespace, with a filter and a ring, as packet(7) has them. */

import { closeSync } from 'node:fs'
import { HoptraceError } from '../../errors.ts'
import { displayText } from '../display-text.ts'
import { LinkType } from '../link-types.ts'
import type { BpfProgram } from './bpf.ts'
import { inNetworkNamespace } from './network-namespace.ts'
import { type Calls, SystemCallError, systemCalls } from './system.ts'

/** The kernel hands over a block that is not full after so long: what a quiet line costs in delay. */
export const RETIRE_MS = 10
/** Holds three of the largest frames (GSO, 64 KiB and their headers). */
export const BLOCK_BYTES = 1 << 18
/** What is reserved in front of each frame, to put a VLAN tag back. */
export const VLAN_TAG_BYTES = 4
const MIN_BLOCKS = 4

/** Numbers of the Linux ABI: socket(7), packet(7), include/uapi/linux/if_packet.h. */
export const SOL_PACKET = 263
const AF_PACKET = 17
const SOCK_RAW_CLOEXEC = 0o2000003
const SOCK_DGRAM_CLOEXEC = 0o2000002
const ETH_P_ALL = 0x0003
const PACKET_ADD_MEMBERSHIP = 1
const PACKET_RX_RING = 5
const PACKET_VERSION = 10
const PACKET_RESERVE = 12
const TPACKET_V3 = 2
const PACKET_MR_PROMISC = 1
const ARPHRD_ETHER = 1
const ARPHRD_LOOPBACK = 772

export interface RingOptions {
  /** Namespace of the interface, null: this one. */
  netns: string | null
  interfaceName: string
  /** Called with the link type; gives the filter, whose return value also cuts the frames. */
  filter: (linkType: number) => BpfProgram
  /** Memory for frames that were not read yet, in bytes. */
  bufferBytes: number
  /** See also what is meant for others; bridges show what they only forward. */
  promiscuous: boolean
}

/** An open socket, bound to an interface, with its ring set up, and what there is to know to read it. */
export interface RingSocket {
  fd: number
  linkType: number
  isLoopback: boolean
  blocks: number
}

/**
 * Opens the ring's socket: from then on the kernel collects frames. Throws a `HoptraceError`: no such interface, no
 * permission (exit code 3), no memory.
 */
export function openRingSocket(options: RingOptions): RingSocket {
  const calls = systemCalls()
  try {
    // A socket stays in the namespace that it was made in. Nothing else is done there: names in a filter expression are
    // not the container's to resolve.
    const { fd, ifIndex, hardwareType } = inNetworkNamespace(options.netns, () => deafSocket(calls, options))
    try {
      const isLoopback = hardwareType === ARPHRD_LOOPBACK
      const linkType = hardwareType === ARPHRD_ETHER || isLoopback ? LinkType.Ethernet : LinkType.Raw
      const blocks = setUpRing(calls, fd, options.bufferBytes)
      calls.attachFilter(fd, options.filter(linkType).instructions)
      if (options.promiscuous && !isLoopback)
        calls.setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, words32(ifIndex, PACKET_MR_PROMISC, 0, 0))
      // Only now frames come in: all of them through the filter.
      calls.bind(fd, linkLayerAddress(ETH_P_ALL, ifIndex))
      return { fd, linkType, isLoopback, blocks }
    } catch (error) {
      closeSync(fd)
      throw error
    }
  } catch (error) {
    throw ringError(options, error)
  }
}

interface DeafSocket {
  fd: number
  ifIndex: number
  /** `ARPHRD_…` of the interface. */
  hardwareType: number
}

/** A socket that is bound to the interface and hears nothing yet. */
function deafSocket(calls: Calls, options: RingOptions): DeafSocket {
  const ifIndex = calls.ifNameToIndex(options.interfaceName)
  if (ifIndex === 0) throw noSuchInterface(options)
  const socket = bound(calls, SOCK_RAW_CLOEXEC, ifIndex)
  if (socket.hardwareType === ARPHRD_ETHER || socket.hardwareType === ARPHRD_LOOPBACK) return socket
  // Tunnels and the like have headers of their own kinds or none: from the network layer on all are alike.
  closeSync(socket.fd)
  return bound(calls, SOCK_DGRAM_CLOEXEC, ifIndex)
}

function bound(calls: Calls, type: number, ifIndex: number): DeafSocket {
  const fd = calls.socket(AF_PACKET, type, 0)
  try {
    calls.bind(fd, linkLayerAddress(0, ifIndex))
    const address = new Uint8Array(20)
    calls.getsockname(fd, address)
    return { fd, ifIndex, hardwareType: new DataView(address.buffer).getUint16(8, true) }
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

/** Asks for the ring, for less where memory is short; the number of its blocks. */
function setUpRing(calls: Calls, fd: number, bufferBytes: number): number {
  calls.setsockopt(fd, SOL_PACKET, PACKET_VERSION, words32(TPACKET_V3))
  calls.setsockopt(fd, SOL_PACKET, PACKET_RESERVE, words32(VLAN_TAG_BYTES))
  let blocks = Math.max(MIN_BLOCKS, Math.ceil(bufferBytes / BLOCK_BYTES))
  for (;;) {
    try {
      // struct tpacket_req3; the frame size means nothing in version 3 but has to fit.
      const frames = blocks * (BLOCK_BYTES / 2048)
      calls.setsockopt(
        fd,
        SOL_PACKET,
        PACKET_RX_RING,
        words32(BLOCK_BYTES, blocks, 2048, frames, RETIRE_MS, 0, 0),
      )
      return blocks
    } catch (error) {
      if (!(error instanceof SystemCallError) || error.code !== 'ENOMEM' || blocks <= MIN_BLOCKS) throw error
      blocks = Math.max(MIN_BLOCKS, blocks >> 1)
    }
  }
}

/** struct sockaddr_ll; the protocol is in network byte order. */
function linkLayerAddress(protocol: number, ifIndex: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(20))
  view.setUint16(0, AF_PACKET, true)
  view.setUint16(2, protocol)
  view.setInt32(4, ifIndex, true)
  return new Uint8Array(view.buffer)
}

function words32(...values: number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(values).buffer)
}

function noSuchInterface({ netns, interfaceName }: RingOptions): HoptraceError {
  const where = netns === null ? 'here' : `in the network namespace ${displayText(netns, 200)}`
  return new HoptraceError(
    `${displayText(interfaceName, 60)}: no such interface ${where}: hoptrace points shows what there is`,
  )
}

function ringError(options: RingOptions, error: unknown): unknown {
  if (!(error instanceof SystemCallError)) return error
  const shown = displayText(options.interfaceName, 60)
  if (error.code === 'EPERM' || error.code === 'EACCES')
    return new HoptraceError(
      `${shown}: capturing is not permitted: run it as root (sudo hoptrace …), or with CAP_NET_RAW, and for namespaces CAP_SYS_ADMIN and CAP_SYS_PTRACE`,
      3,
    )
  if (error.code === 'ENOMEM')
    return new HoptraceError(`${shown}: no memory for its ring: give a smaller --buffer`)
  if (error.code === 'ENETDOWN' || error.code === 'ENODEV')
    return new HoptraceError(`${shown}: the interface is down or gone (${error.code})`)
  return new HoptraceError(`${shown}: can't be captured (${error.message})`)
}
