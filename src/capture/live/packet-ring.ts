/** The packet ring: frames of one interface as the kernel puts them into memory that it shares with us (TPACKET_V3). */

import { closeSync } from 'node:fs'
import { HoptraceError } from '../../errors.ts'
import { displayText } from '../display-text.ts'
import { LinkType } from '../link-types.ts'
import { CaptureRecord, type Epoch } from '../record.ts'
import type { BpfProgram } from './bpf.ts'
import { inNetworkNamespace } from './network-namespace.ts'
import type { LiveSource } from './source.ts'
import { type Address, type Calls, SystemCallError, systemCalls } from './system.ts'

/** The kernel hands over a block that is not full after so long: what a quiet line costs in delay. */
const RETIRE_MS = 10
/**
 * A frame can be had at the latest so long after it passed: the timer looks twice before it retires a block, and
 * itself may come late on a busy machine.
 */
const HOLD_BACK_NS = 40e6
/** Holds four of the largest frames (GSO, 64 KiB). */
const BLOCK_BYTES = 1 << 18
const MIN_BLOCKS = 4
/** What is reserved in front of each frame, to put a VLAN tag back. */
const VLAN_TAG_BYTES = 4

/** Numbers of the Linux ABI: socket(7), packet(7), include/uapi/linux/if_packet.h. */
const AF_PACKET = 17
const SOCK_RAW_CLOEXEC = 0o2000003
const SOCK_DGRAM_CLOEXEC = 0o2000002
const ETH_P_ALL = 0x0003
const SOL_SOCKET = 1
const SO_ERROR = 4
const SOL_PACKET = 263
const PACKET_ADD_MEMBERSHIP = 1
const PACKET_RX_RING = 5
const PACKET_STATISTICS = 6
const PACKET_VERSION = 10
const PACKET_RESERVE = 12
const TPACKET_V3 = 2
const PACKET_MR_PROMISC = 1
const ARPHRD_ETHER = 1
const ARPHRD_LOOPBACK = 772
const PACKET_BROADCAST = 1
const PACKET_MULTICAST = 2
const PACKET_OTHERHOST = 3
const PACKET_OUTGOING = 4

/** Offsets in `struct tpacket_block_desc`, in bytes. */
const BLOCK_STATUS = 8
const BLOCK_PACKETS = 12
const BLOCK_FIRST = 16
const STATUS_KERNEL = 0
const STATUS_USER = 1
/** Offsets in `struct tpacket3_hdr`, and in the `struct sockaddr_ll` behind it. */
const FRAME_NEXT = 0
const FRAME_SECONDS = 4
const FRAME_NANOSECONDS = 8
const FRAME_SNAP_LEN = 12
const FRAME_LEN = 16
const FRAME_STATUS = 20
const FRAME_MAC = 24
const FRAME_VLAN_TCI = 32
const FRAME_VLAN_TPID = 36
const FRAME_PACKET_TYPE = 48 + 10
const FrameStatus = { ChecksumNotReady: 8, VlanValid: 16, VlanTpidValid: 64, ChecksumValid: 128, GsoTcp: 256 }
const TPID_8021Q = 0x8100

/** epb_flags (pcapng, section 4.3.1). */
const FLAG_INBOUND = 1
const FLAG_OUTBOUND = 2
const FLAG_UNICAST = 1 << 2
const FLAG_MULTICAST = 2 << 2
const FLAG_BROADCAST = 3 << 2
const FLAG_PROMISCUOUS = 4 << 2
const FLAG_CHECKSUM_NOT_READY = 1 << 9
const FLAG_CHECKSUM_VALID = 1 << 10
const FLAG_TCP_SEGMENTATION = 1 << 11

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
 * Opens the ring's socket inside the namespace: from then on the kernel collects frames. Throws a `HoptraceError`: no
 * such interface, no permission (exit code 3), no memory.
 */
export function openRingSocket(options: RingOptions): RingSocket {
  const calls = systemCalls()
  try {
    return inNetworkNamespace(options.netns, () => {
      const ifIndex = calls.ifNameToIndex(options.interfaceName)
      if (ifIndex === 0) throw noSuchInterface(options)
      let type = SOCK_RAW_CLOEXEC
      let socket = bound(calls, type, ifIndex)
      const isLoopback = socket.hardwareType === ARPHRD_LOOPBACK
      if (socket.hardwareType !== ARPHRD_ETHER && !isLoopback) {
        // Tunnels and the like have headers of their own kinds or none: from the network layer on all are alike.
        closeSync(socket.fd)
        type = SOCK_DGRAM_CLOEXEC
        socket = bound(calls, type, ifIndex)
      }
      const linkType = type === SOCK_RAW_CLOEXEC ? LinkType.Ethernet : LinkType.Raw
      const { fd } = socket
      try {
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
    })
  } catch (error) {
    throw ringError(options, error)
  }
}

/** Frames of one interface, read in place from the memory that the kernel writes to. */
export class PacketRing implements LiveSource {
  readonly record = new CaptureRecord()
  readonly fd: number
  readonly linkType: number
  readonly snapLenBytes: number
  ended = false
  problem: string | null = null
  onReady = () => {}
  /** The interface went down, and no frame has come since. */
  isDown = false
  readonly #calls = systemCalls()
  readonly #epoch: Epoch
  readonly #isLoopback: boolean
  readonly #blocks: number
  readonly #address: Address
  readonly #words: Int32Array
  readonly #view: DataView
  /** The block that is being read, and its frames that are left. */
  #block = 0
  #left = 0
  #next = 0
  /** The block that the last frame came from is all read: it goes back to the kernel with the next `advance()`. */
  #isBlockDone = false
  #drops = 0
  #isStopped = false
  #isClosed = false

  constructor(socket: RingSocket, epoch: Epoch, snapLenBytes: number) {
    this.fd = socket.fd
    this.linkType = socket.linkType
    this.snapLenBytes = snapLenBytes
    this.#isLoopback = socket.isLoopback
    this.#blocks = socket.blocks
    this.#epoch = epoch
    const { address, memory } = this.#calls.mmap(this.fd, socket.blocks * BLOCK_BYTES)
    this.#address = address
    this.#words = new Int32Array(memory)
    this.#view = new DataView(memory)
    this.record.bytes = new Uint8Array(memory)
    this.record.linkType = socket.linkType
  }

  advance(): boolean {
    if (this.#isBlockDone) this.#releaseBlock()
    for (;;) {
      if (this.#left === 0 && !this.#enterBlock()) return false
      const at = this.#next
      this.#left--
      if (this.#left === 0) this.#isBlockDone = true
      else this.#next = at + this.#words[(at + FRAME_NEXT) >> 2]!
      if (this.#take(at)) return true
      if (this.#isBlockDone) this.#releaseBlock()
    }
  }

  horizonNs(nowNs: number): number {
    return nowNs - HOLD_BACK_NS
  }

  get isFilling(): boolean {
    return this.#isReady(this.#blocks >> 3)
  }

  /** Whether half of the blocks wait to be read. */
  get isPressed(): boolean {
    return this.#isReady(this.#blocks >> 1)
  }

  drops(): number {
    if (this.#isClosed) return this.#drops
    this.#lookWhetherGone()
    // struct tpacket_stats_v3; reading it sets the kernel's counters to zero.
    const stats = new Uint8Array(12)
    this.#calls.getsockopt(this.fd, SOL_PACKET, PACKET_STATISTICS, stats)
    this.#drops += new DataView(stats.buffer).getUint32(4, true)
    return this.#drops
  }

  /** To be called where `poll` reported an error: the interface is down, or gone for good (`ended`) now or soon. */
  noteError(): void {
    this.#calls.getsockopt(this.fd, SOL_SOCKET, SO_ERROR, new Uint8Array(4))
    this.isDown = true
    this.#lookWhetherGone()
  }

  /** Removing an interface sets it down first, and only that is reported as an error: so `drops()` looks as well. */
  #lookWhetherGone(): void {
    const address = new Uint8Array(20)
    this.#calls.getsockname(this.fd, address)
    // The kernel unbinds the socket when its interface is removed.
    if (new DataView(address.buffer).getInt32(4, true) <= 0) {
      this.ended = true
      this.problem = 'its interface is gone'
    }
  }

  /** Frames stop coming in; the blocks that the kernel is still filling follow within `HOLD_BACK_NS`. */
  stop(): void {
    if (this.#isStopped || this.#isClosed) return
    this.#isStopped = true
    // Protocol 0, and all that passes is refused: the socket is deaf from now on.
    this.#calls.attachFilter(this.fd, REFUSE_ALL)
  }

  close(): void {
    if (this.#isClosed) return
    this.drops()
    this.#isClosed = true
    this.ended = true
    this.#left = 0
    this.record.bytes = new Uint8Array(0)
    this.#calls.munmap(this.#address, this.#blocks * BLOCK_BYTES)
    this.#calls.closeInBackground(this.fd)
  }

  /** Does the kernel have handed over the block that is so many ahead of ours, and so all between the two? */
  #isReady(ahead: number): boolean {
    return !this.#isClosed && this.#statusOf((this.#block + ahead) % this.#blocks) !== STATUS_KERNEL
  }

  #statusOf(block: number): number {
    return Atomics.load(this.#words, (block * BLOCK_BYTES + BLOCK_STATUS) >> 2) & STATUS_USER
  }

  /** Begins the next block, where the kernel has handed it over. */
  #enterBlock(): boolean {
    for (;;) {
      if (this.#isClosed || this.#statusOf(this.#block) === STATUS_KERNEL) return false
      const at = this.#block * BLOCK_BYTES
      this.#left = this.#words[(at + BLOCK_PACKETS) >> 2]!
      this.#next = at + this.#words[(at + BLOCK_FIRST) >> 2]!
      if (this.#left > 0) return true
      this.#releaseBlock()
    }
  }

  #releaseBlock(): void {
    this.#isBlockDone = false
    Atomics.store(this.#words, (this.#block * BLOCK_BYTES + BLOCK_STATUS) >> 2, STATUS_KERNEL)
    this.#block = (this.#block + 1) % this.#blocks
  }

  /** Fills the record from the frame whose header is at `at`; false where it is one to leave out. */
  #take(at: number): boolean {
    const bytes = this.record.bytes
    const words = this.#words
    const packetType = bytes[at + FRAME_PACKET_TYPE]!
    // A loopback interface shows each frame twice: when it leaves and when it arrives.
    if (this.#isLoopback && packetType === PACKET_OUTGOING) return false
    const status = words[(at + FRAME_STATUS) >> 2]!
    const { record } = this
    let start = at + this.#view.getUint16(at + FRAME_MAC, true)
    let length = words[(at + FRAME_SNAP_LEN) >> 2]! >>> 0
    let originalLength = words[(at + FRAME_LEN) >> 2]! >>> 0
    if (status & FrameStatus.VlanValid && this.linkType === LinkType.Ethernet && length >= 12) {
      const tpid =
        status & FrameStatus.VlanTpidValid ? this.#view.getUint16(at + FRAME_VLAN_TPID, true) : TPID_8021Q
      bytes.copyWithin(start - VLAN_TAG_BYTES, start, start + 12)
      start -= VLAN_TAG_BYTES
      this.#view.setUint16(start + 12, tpid)
      this.#view.setUint16(start + 14, words[(at + FRAME_VLAN_TCI) >> 2]! & 0xffff)
      length = Math.min(length + VLAN_TAG_BYTES, this.snapLenBytes || Number.POSITIVE_INFINITY)
      originalLength += VLAN_TAG_BYTES
    }
    this.isDown = false
    record.start = start
    record.end = start + length
    record.originalLenBytes = originalLength
    const seconds = words[(at + FRAME_SECONDS) >> 2]! >>> 0
    record.timeNs = (seconds - this.#epoch.seconds) * 1e9 + words[(at + FRAME_NANOSECONDS) >> 2]!
    record.flags = flagsOf(packetType, status)
    return true
  }
}

function flagsOf(packetType: number, status: number): number {
  let flags = packetType === PACKET_OUTGOING ? FLAG_OUTBOUND : FLAG_INBOUND
  if (packetType === PACKET_BROADCAST) flags |= FLAG_BROADCAST
  else if (packetType === PACKET_MULTICAST) flags |= FLAG_MULTICAST
  else if (packetType === PACKET_OTHERHOST) flags |= FLAG_PROMISCUOUS
  else if (packetType !== PACKET_OUTGOING) flags |= FLAG_UNICAST
  if (status & FrameStatus.ChecksumNotReady) flags |= FLAG_CHECKSUM_NOT_READY
  if (status & FrameStatus.ChecksumValid) flags |= FLAG_CHECKSUM_VALID
  if (status & FrameStatus.GsoTcp) flags |= FLAG_TCP_SEGMENTATION
  return flags
}

/** One `ret #0`. */
const REFUSE_ALL = Uint8Array.of(6, 0, 0, 0, 0, 0, 0, 0)

/** A socket that is bound to the interface and deaf, and what kind of hardware that is (`ARPHRD_…`). */
function bound(calls: Calls, type: number, ifIndex: number): { fd: number; hardwareType: number } {
  const fd = calls.socket(AF_PACKET, type, 0)
  try {
    calls.bind(fd, linkLayerAddress(0, ifIndex))
    const address = new Uint8Array(20)
    calls.getsockname(fd, address)
    return { fd, hardwareType: new DataView(address.buffer).getUint16(8, true) }
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
