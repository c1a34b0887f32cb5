/** Descriptor passing: gives an open descriptor to another process through an AF_UNIX socket (SCM_RIGHTS, unix(7)). */

import { type Address, type Calls, SystemCallError, systemCalls } from './system.ts'

/** Numbers of the Linux ABI: socket(7), unix(7), cmsg(3). */
const SOL_SOCKET = 1
const SCM_RIGHTS = 1
const MSG_CTRUNC = 0x8
const MSG_DONTWAIT = 0x40
const MSG_NOSIGNAL = 0x4000
const MSG_CMSG_CLOEXEC = 0x40000000

/** Offsets in `struct msghdr` of 64-bit Linux, in bytes; what is not named stays zero. */
const MSG_IOV = 16
const MSG_IOV_COUNT = 24
const MSG_CONTROL = 32
const MSG_CONTROL_LEN = 40
const MSG_FLAGS = 48
const MSGHDR_BYTES = 56
/** Offsets in `struct cmsghdr`: size_t cmsg_len, int cmsg_level, int cmsg_type, then the descriptors. */
const CMSG_LEVEL = 8
const CMSG_TYPE = 12
const CMSG_DATA = 16
/** CMSG_LEN and CMSG_SPACE of one descriptor: an int, and what aligns it. */
const CMSG_LEN_BYTES = 20
const CMSG_SPACE_BYTES = 24
/** Where we put the parts, behind the `struct msghdr`: a `struct iovec`, the control message, one byte of data. */
const IOV = MSGHDR_BYTES
const CONTROL = IOV + 16
const DATA = CONTROL + CMSG_SPACE_BYTES
const MESSAGE_BYTES = DATA + 8

interface Message {
  readonly address: Address
  readonly view: DataView
}

/** Filled anew for each call. */
let shared: Message | null = null

/**
 * Puts a duplicate of `fd` into the socket; `fd` itself stays open. Throws a `SystemCallError`, `EAGAIN` where the
 * other side has not taken what was sent before.
 */
export function sendDescriptor(socket: number, fd: number): void {
  const calls = systemCalls()
  const { address, view } = emptyMessage(calls)
  view.setBigUint64(CONTROL, BigInt(CMSG_LEN_BYTES), true)
  view.setInt32(CONTROL + CMSG_LEVEL, SOL_SOCKET, true)
  view.setInt32(CONTROL + CMSG_TYPE, SCM_RIGHTS, true)
  view.setInt32(CONTROL + CMSG_DATA, fd, true)
  calls.sendmsg(socket, address, MSG_DONTWAIT | MSG_NOSIGNAL)
}

/**
 * Takes the next descriptor from the socket, closed on exec; null where no message waits, or the other side has gone.
 * Throws a `SystemCallError` where the descriptor got lost, as happens where this process has too many open.
 */
export function receiveDescriptor(socket: number): number | null {
  const calls = systemCalls()
  const { address, view } = emptyMessage(calls)
  try {
    if (calls.recvmsg(socket, address, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) === 0) return null
  } catch (error) {
    if (error instanceof SystemCallError && error.code === 'EAGAIN') return null
    throw error
  }
  const isWhole =
    (view.getInt32(MSG_FLAGS, true) & MSG_CTRUNC) === 0 &&
    view.getBigUint64(CONTROL, true) === BigInt(CMSG_LEN_BYTES) &&
    view.getInt32(CONTROL + CMSG_LEVEL, true) === SOL_SOCKET &&
    view.getInt32(CONTROL + CMSG_TYPE, true) === SCM_RIGHTS
  if (!isWhole) throw new SystemCallError('recvmsg', EMFILE)
  return view.getInt32(CONTROL + CMSG_DATA, true)
}

const EMFILE = 24

function emptyMessage(calls: Calls): Message {
  shared ??= allocate(calls)
  const { address, view } = shared
  new Uint8Array(view.buffer).fill(0)
  view.setBigUint64(MSG_IOV, address + BigInt(IOV), true)
  view.setBigUint64(MSG_IOV_COUNT, 1n, true)
  view.setBigUint64(MSG_CONTROL, address + BigInt(CONTROL), true)
  view.setBigUint64(MSG_CONTROL_LEN, BigInt(CMSG_SPACE_BYTES), true)
  // A message without any data would look like the end of the connection.
  view.setBigUint64(IOV, address + BigInt(DATA), true)
  view.setBigUint64(IOV + 8, 1n, true)
  return shared
}

function allocate(calls: Calls): Message {
  const { address, memory } = calls.allocate(MESSAGE_BYTES)
  return { address: BigInt.asUintN(64, address), view: new DataView(memory) }
}
