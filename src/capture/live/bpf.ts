/** BPF: filter expressions compiled to the classic BPF programs that the kernel runs on each frame, by libpcap. */

import { HoptraceError } from '../../errors.ts'
import { displayText } from '../display-text.ts'
import { LinkType } from '../link-types.ts'
import { loadKoffi } from './system.ts'

/** A program as `SO_ATTACH_FILTER` takes it. */
export interface BpfProgram {
  /** `struct sock_filter[]`, 8 bytes each, in the byte order of this machine. */
  readonly instructions: Uint8Array
  readonly count: number
}

/** MAXIMUM_SNAPLEN of libpcap: what "whole frames" means to a filter. */
const MAX_SNAPLEN_BYTES = 262_144
const INSTRUCTION_BYTES = 8
/** BPF_MAXINSNS of the kernel. */
const MAX_INSTRUCTIONS = 4096
/**
 * libpcap's optimizer recurses and takes more than quadratic time: 2,000 characters of ports take it 1.5 s, 4,000 take
 * 9 s, and some thousands more overflow the stack.
 */
const MAX_EXPRESSION_CHARACTERS = 2048
/** PCAP_NETMASK_UNKNOWN: a point has any number of networks. */
const NETMASK_UNKNOWN = 0xffffffff
/** BPF_RET | BPF_K */
const RETURN_CONSTANT = 0x06
const LIBRARIES = ['libpcap.so.0.8', 'libpcap.so.1', 'libpcap.so']

/** The keyword as libpcap reads it: not a part of a longer name, not escaped. */
const VLAN_KEYWORD = /(?<![\w.\-\\])vlan(?![\w.-])/

interface Libpcap {
  /** Gives the instructions, or the reason why there are none. */
  compile(expression: string, dataLinkType: number, snapLenBytes: number): Uint8Array | string
}

let loaded: Libpcap | null = null

/**
 * Compiles a pcap-filter(7) expression for frames of this LINKTYPE_; the program keeps `snapLenBytes` of what matches, 0
 * for all. Needs libpcap. Throws a `HoptraceError` where there is none, or where libpcap refuses the expression, and
 * for `vlan`: the kernel takes the tag off before the filter runs, so that it would never match. Names in it are
 * looked up, which waits.
 */
export function compileBpf(expression: string, linkType: number, snapLenBytes: number): BpfProgram {
  const shown = `--bpf "${displayText(expression, 80)}"`
  if (expression.includes('\0')) throw new HoptraceError(`${shown}: has a NUL character: leave it out`)
  if (expression.length > MAX_EXPRESSION_CHARACTERS)
    throw new HoptraceError(
      `${shown}: is too long for libpcap (${expression.length} characters, at most ${MAX_EXPRESSION_CHARACTERS}): use --filter`,
    )
  if (VLAN_KEYWORD.test(expression))
    throw new HoptraceError(
      `${shown}: "vlan" would never match: the kernel takes the tag off before the filter runs: leave it out, tagged frames match without`,
    )
  loaded ??= load()
  const compiled = loaded.compile(
    expression,
    dataLinkType(linkType),
    snapLenBytes > 0 ? Math.min(snapLenBytes, MAX_SNAPLEN_BYTES) : MAX_SNAPLEN_BYTES,
  )
  if (typeof compiled === 'string')
    throw new HoptraceError(`${shown}: ${displayText(compiled, 200)}: see pcap-filter(7)`)
  const count = compiled.length / INSTRUCTION_BYTES
  if (count > MAX_INSTRUCTIONS)
    throw new HoptraceError(
      `${shown}: takes ${count} instructions, and the kernel takes ${MAX_INSTRUCTIONS}: make it shorter, or use --filter`,
    )
  return { instructions: compiled, count }
}

/** The program that lets every frame through, cut to `snapLenBytes`, 0 for all; needs no library. */
export function acceptAll(snapLenBytes: number): BpfProgram {
  const words = new Uint32Array(2)
  new Uint16Array(words.buffer)[0] = RETURN_CONSTANT
  words[1] = snapLenBytes > 0 ? snapLenBytes : MAX_SNAPLEN_BYTES
  return { instructions: new Uint8Array(words.buffer), count: 1 }
}

/** The DLT_ value of this system for a LINKTYPE_ value: of those that matter here only raw IP has two numbers. */
function dataLinkType(linkType: number): number {
  return linkType === LinkType.Raw ? LinkType.DltRaw : linkType
}

function load(): Libpcap {
  const koffi = loadKoffi()
  const library = firstOf(LIBRARIES, (name) => koffi.load(name))
  if (library === null)
    throw new HoptraceError(
      '--bpf needs libpcap to compile the expression, and none is installed: install it (Debian: libpcap0.8) or use --filter',
    )
  const program = koffi.struct({ bf_len: 'unsigned int', bf_insns: 'void *' })
  const openDead = library.func('void *pcap_open_dead(int linktype, int snaplen)')
  const compile = library.func('pcap_compile', 'int', [
    'void *',
    koffi.out(koffi.pointer(program)),
    'str',
    'int',
    'uint32_t',
  ])
  const errorText = library.func('const char *pcap_geterr(void *handle)')
  const freeCode = library.func('pcap_freecode', 'void', [koffi.pointer(program)])
  const close = library.func('void pcap_close(void *handle)')
  return {
    compile(expression, dataLinkType, snapLenBytes) {
      const handle = openDead(dataLinkType, snapLenBytes)
      if (handle === null) return 'libpcap has no memory'
      try {
        const compiled = { bf_len: 0, bf_insns: 0n }
        if (compile(handle, compiled, expression, 1, NETMASK_UNKNOWN) !== 0) return errorText(handle)
        const memory = koffi.view(compiled.bf_insns, compiled.bf_len * INSTRUCTION_BYTES)
        const instructions = new Uint8Array(memory).slice()
        freeCode(compiled)
        return instructions
      } finally {
        close(handle)
      }
    },
  }
}

function firstOf<T>(names: readonly string[], open: (name: string) => T): T | null {
  for (const name of names) {
    try {
      return open(name)
    } catch {
      // The next name may be there.
    }
  }
  return null
}

/** The filter for an interface of whatever link type: the expression, or all frames where there is none. */
export function filterOf(
  expression: string | undefined,
  snapLenBytes: number,
): (linkType: number) => BpfProgram {
  return (linkType) =>
    expression === undefined ? acceptAll(snapLenBytes) : compileBpf(expression, linkType, snapLenBytes)
}
