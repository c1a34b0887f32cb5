/** The system: the few Linux calls that live capture needs, through koffi, which is loaded only when one is made. */

import { createRequire } from 'node:module'
import { getSystemErrorName } from 'node:util'
import { HoptraceError } from '../../errors.ts'

/** What a failed call says; `code` as Node names it, such as `EPERM`. */
export class SystemCallError extends Error {
  readonly code: string

  constructor(call: string, errno: number) {
    const code = errno > 0 ? getSystemErrorName(-errno) : 'EUNKNOWN'
    super(`${call}: ${code}`)
    this.code = code
  }
}

/** A pointer into memory of the system's. */
export type Address = bigint

export interface Calls {
  /** Each throws a `SystemCallError` where the call fails. */
  socket(domain: number, type: number, protocol: number): number
  bind(fd: number, address: Uint8Array): void
  getsockname(fd: number, into: Uint8Array): void
  setsockopt(fd: number, level: number, option: number, value: Uint8Array): void
  getsockopt(fd: number, level: number, option: number, into: Uint8Array): void
  mmap(fd: number, lenBytes: number): { address: Address; memory: ArrayBuffer }
  munmap(address: Address, lenBytes: number): void
  setns(fd: number, type: number): void
  /** 0 where there is no such interface in the current namespace. */
  ifNameToIndex(name: string): number
  eventfd(): number
  /** Closes on another thread: a packet socket takes the kernel 0.1 s. */
  closeInBackground(fd: number): void
  /** Puts memory that does not move where the system can find it; never freed. */
  allocate(lenBytes: number): { address: Address; memory: ArrayBuffer }
  /** Waits on another thread, `count` times `struct pollfd` at `fds`; the number of those with events. */
  poll(fds: Address, count: number, timeoutMs: number): Promise<number>
  /** Attaches a classic BPF program (`struct sock_filter[]`) to a socket. */
  attachFilter(fd: number, instructions: Uint8Array): void
  /** Two connected AF_UNIX sockets that keep messages apart. */
  socketpair(): readonly [number, number]
  /** Both take the address of a `struct msghdr` and give a number of bytes. */
  sendmsg(fd: number, message: Address, flags: number): number
  recvmsg(fd: number, message: Address, flags: number): number
  /** Mounts a file system where nobody sees it; it is reached through the descriptor, and gone with it. */
  mountUnseen(fileSystem: string): number
  /** What to add to a time of CLOCK_MONOTONIC for ns since 1970; good to a microsecond. */
  realtimeOffsetNs(): bigint
}

const PROT_READ_WRITE = 3
const MAP_SHARED = 1
const EFD_NONBLOCK_CLOEXEC = 0o2004000
const SOL_SOCKET = 1
const SO_ATTACH_FILTER = 26
const AF_UNIX = 1
const SOCK_SEQPACKET_CLOEXEC = 0o2000005
/** Numbers of system calls, the same on all processors (Linux 5.2). */
const FSOPEN = 430
const FSCONFIG = 431
const FSMOUNT = 432
const FSCONFIG_CMD_CREATE = 6
const CLOSE_ON_EXEC = 1
const CLOCK_REALTIME = 0

let loaded: Calls | null = null

/** The calls; throws a `HoptraceError` where this system is not Linux or koffi is missing. */
export function systemCalls(): Calls {
  loaded ??= load()
  return loaded
}

function load(): Calls {
  if (process.platform !== 'linux')
    throw new HoptraceError(
      `live capture from interfaces works on Linux: here (${process.platform}) try --backend cap, or analyze saved captures`,
    )
  const koffi = loadKoffi()
  const libc = koffi.load(null)
  const checked = (call: string, definition: string) => {
    const raw = libc.func(definition) as (...args: unknown[]) => number
    return (...args: unknown[]): number => {
      const result = raw(...args)
      if (result < 0) throw new SystemCallError(call, koffi.errno())
      return result
    }
  }
  const socket = checked('socket', 'int socket(int domain, int type, int protocol)')
  const bind = checked('bind', 'int bind(int fd, const void *address, uint32_t length)')
  const getsockname = checked(
    'getsockname',
    'int getsockname(int fd, _Inout_ uint8_t *address, _Inout_ uint32_t *length)',
  )
  const setsockopt = checked(
    'setsockopt',
    'int setsockopt(int fd, int level, int option, const void *value, uint32_t length)',
  )
  const getsockopt = checked(
    'getsockopt',
    'int getsockopt(int fd, int level, int option, _Inout_ uint8_t *value, _Inout_ uint32_t *length)',
  )
  const setns = checked('setns', 'int setns(int fd, int type)')
  const eventfd = checked('eventfd', 'int eventfd(unsigned int value, int flags)')
  const socketpair = checked(
    'socketpair',
    'int socketpair(int domain, int type, int protocol, _Inout_ int32_t *pair)',
  )
  const sendmsg = checked('sendmsg', 'int64_t sendmsg(int fd, void *message, int flags)')
  const recvmsg = checked('recvmsg', 'int64_t recvmsg(int fd, void *message, int flags)')
  const ifNameToIndex = libc.func('unsigned int if_nametoindex(const char *name)')
  const mmap = libc.func(
    'void *mmap(void *address, size_t length, int protection, int flags, int fd, int64_t offset)',
  )
  const munmap = checked('munmap', 'int munmap(void *address, size_t length)')
  const close = libc.func('int close(int fd)')
  const syscall = (name: string) => {
    const raw = libc.func('long syscall(long number, ...)') as (...args: unknown[]) => number
    return (number: number, ...args: (number | string | null)[]): number => {
      const typed = args.flatMap((value) =>
        typeof value === 'number' ? ['long', value] : ['const char *', value],
      )
      const result = raw(number, ...typed)
      if (result < 0) throw new SystemCallError(name, koffi.errno())
      return result
    }
  }
  const clockGettime = checked('clock_gettime', 'int clock_gettime(int clock, _Inout_ int64_t *time)')
  const poll = libc.func('int poll(void *fds, unsigned long count, int timeout)')
  return {
    socket: (domain, type, protocol) => socket(domain, type, protocol),
    bind: (fd, address) => void bind(fd, address, address.length),
    getsockname: (fd, into) => void getsockname(fd, into, [into.length]),
    setsockopt: (fd, level, option, value) => void setsockopt(fd, level, option, value, value.length),
    getsockopt: (fd, level, option, into) => void getsockopt(fd, level, option, into, [into.length]),
    socketpair() {
      const pair = new Int32Array(2)
      socketpair(AF_UNIX, SOCK_SEQPACKET_CLOEXEC, 0, pair)
      return [pair[0]!, pair[1]!]
    },
    sendmsg: (fd, message, flags) => sendmsg(fd, message, flags),
    recvmsg: (fd, message, flags) => recvmsg(fd, message, flags),
    setns: (fd, type) => void setns(fd, type),
    eventfd: () => eventfd(0, EFD_NONBLOCK_CLOEXEC),
    closeInBackground: (fd) => close.async(fd, () => {}),
    ifNameToIndex: (name) => ifNameToIndex(name),
    mmap(fd, lenBytes) {
      const address = mmap(null, lenBytes, PROT_READ_WRITE, MAP_SHARED, fd, 0) as Address
      if (BigInt.asIntN(64, address) === -1n) throw new SystemCallError('mmap', koffi.errno())
      return { address, memory: koffi.view(address, lenBytes) }
    },
    munmap: (address, lenBytes) => void munmap(address, lenBytes),
    allocate(lenBytes) {
      const address = koffi.alloc('uint8_t', lenBytes) as Address
      return { address, memory: koffi.view(address, lenBytes) }
    },
    poll: (fds, count, timeoutMs) =>
      new Promise((resolve, reject) => {
        poll.async(fds, count, timeoutMs, (error: unknown, ready: number) =>
          // EINTR: nothing happened.
          error ? reject(error) : resolve(Math.max(0, ready)),
        )
      }),
    mountUnseen(fileSystem) {
      const context = syscall('fsopen')(FSOPEN, fileSystem, CLOSE_ON_EXEC)
      try {
        syscall('fsconfig')(FSCONFIG, context, FSCONFIG_CMD_CREATE, null, null, 0)
        return syscall('fsmount')(FSMOUNT, context, CLOSE_ON_EXEC, 0)
      } finally {
        close(context)
      }
    },
    realtimeOffsetNs() {
      const time = new BigInt64Array(2)
      const before = process.hrtime.bigint()
      clockGettime(CLOCK_REALTIME, time)
      const after = process.hrtime.bigint()
      return time[0]! * 1_000_000_000n + time[1]! - (before + after) / 2n
    },
    attachFilter(fd, instructions) {
      const address = koffi.alloc('uint8_t', instructions.length) as Address
      try {
        new Uint8Array(koffi.view(address, instructions.length)).set(instructions)
        // struct sock_fprog: a count, padding, a pointer.
        const program = new DataView(new ArrayBuffer(16))
        program.setUint16(0, instructions.length / 8, true)
        program.setBigUint64(8, BigInt.asUintN(64, koffi.address(address)), true)
        setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, new Uint8Array(program.buffer), 16)
      } finally {
        koffi.free(address)
      }
    },
  }
}

type Koffi = typeof import('koffi')

/** Loaded late: analyzing files must not wait for it, nor fail where it has no binary. */
export function loadKoffi(): Koffi {
  try {
    return createRequire(import.meta.url)('koffi') as Koffi
  } catch (error) {
    throw new HoptraceError(
      `live capture needs the package koffi, which can't be loaded here (${(error as Error).message.split('\n')[0]}): try npm ci again, or --backend cap`,
    )
  }
}
