/** The packet ring: frames of one interface as the kernel puts them into memory that it shares with us (TPACKET_V3). */

import { LinkType } from '../link-types.ts'
import { CaptureRecord, type Epoch } from '../record.ts'
import { BLOCK_BYTES, RETIRE_MS, type RingSocket, SOL_PACKET, VLAN_TAG_BYTES } from './ring-socket.ts'
import type { LiveSource } from './source.ts'
import { type Address, systemCalls } from './system.ts'

/**
 * A frame can be had at the latest so long after it passed: the timer looks twice before it retires a block, and
 * itself may come late on a busy machine.
 */
const HOLD_BACK_NS = 4e6 * RETIRE_MS

/** Numbers of the Linux ABI: socket(7), packet(7), include/uapi/linux/if_packet.h. */
const SOL_SOCKET = 1
const SO_ERROR = 4
const PACKET_STATISTICS = 6
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

/** Frames of one interface, read in place from the memory that the kernel writes to. */
export class PacketRing implements LiveSource {
  readonly record = new CaptureRecord()
  readonly fd: number
  readonly linkType: number
  readonly snapLenBytes: number
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
  /** When the interface was found to be gone, by `performance.now()`. */
  #goneMs = Number.POSITIVE_INFINITY

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

  /** What the kernel was still filling when the interface went comes within `HOLD_BACK_NS`. */
  get ended(): boolean {
    return this.#isClosed || performance.now() - this.#goneMs >= HOLD_BACK_NS / 1e6
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
      this.#goneMs = Math.min(this.#goneMs, performance.now())
      this.problem = 'its interface is gone'
    }
  }

  /** Frames stop coming in; the blocks that the kernel is still filling follow within `HOLD_BACK_NS`. */
  stop(): void {
    if (this.#isStopped || this.#isClosed) return
    this.#isStopped = true
    // All that passes is refused: the socket is deaf from now on.
    this.#calls.attachFilter(this.fd, REFUSE_ALL)
  }

  close(): void {
    if (this.#isClosed) return
    this.drops()
    this.#isClosed = true
    this.#left = 0
    this.#isBlockDone = false
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
