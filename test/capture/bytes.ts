/** Capture files put together by hand, for what no tool writes: every byte order, block and magic. */

/** Joins byte arrays. */
export function join(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts))
}

/** Unsigned fields of 1, 2, 4 or 8 bytes, one behind the other. */
export function fields(
  littleEndian: boolean,
  ...values: [size: 1 | 2 | 4 | 8, value: number | bigint][]
): Uint8Array {
  const view = new DataView(new ArrayBuffer(values.reduce((sum, [size]) => sum + size, 0)))
  let at = 0
  for (const [size, value] of values) {
    if (size === 1) view.setUint8(at, Number(value))
    else if (size === 2) view.setUint16(at, Number(value), littleEndian)
    else if (size === 4) view.setUint32(at, Number(value), littleEndian)
    else view.setBigUint64(at, BigInt.asUintN(64, BigInt(value)), littleEndian)
    at += size
  }
  return new Uint8Array(view.buffer)
}

export interface PcapOptions {
  magic?: number
  littleEndian?: boolean
  linkType?: number
  snapLen?: number
  major?: number
}

export interface PcapRecord {
  seconds: number
  fraction: number
  bytes: Uint8Array
  original?: number
}

export function pcap(records: PcapRecord[], options: PcapOptions = {}): Uint8Array {
  const { magic = 0xa1b2c3d4, littleEndian = true, linkType = 1, snapLen = 262144, major = 2 } = options
  const header = fields(littleEndian, [4, magic], [2, major], [2, 4], [8, 0], [4, snapLen], [4, linkType])
  return join(header, ...records.map((record) => pcapRecord(record, littleEndian, magic === 0xa1b2cd34)))
}

function pcapRecord(
  { seconds, fraction, bytes, original }: PcapRecord,
  littleEndian: boolean,
  modified: boolean,
) {
  const length = original ?? bytes.length
  const head = fields(littleEndian, [4, seconds], [4, fraction], [4, bytes.length], [4, length])
  const more = modified ? fields(littleEndian, [4, 7], [2, 0x0800], [1, 0], [1, 0]) : new Uint8Array(0)
  return join(head, more, bytes)
}

/** An Ethernet frame with an IPv4 header and `size` bytes in all, each frame different. */
export function frame(size = 60, seed = 0): Uint8Array {
  const bytes = Uint8Array.from({ length: size }, (_, i) => (i * 7 + seed) & 0xff)
  bytes.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00, 0x45, 0, 0, size - 14].slice(0, size))
  return bytes
}

/** Blocks of pcapng in one byte order. */
export class Blocks {
  readonly littleEndian: boolean

  constructor(littleEndian = true) {
    this.littleEndian = littleEndian
  }

  fields(...values: [size: 1 | 2 | 4 | 8, value: number | bigint][]): Uint8Array {
    return fields(this.littleEndian, ...values)
  }

  padded(bytes: Uint8Array): Uint8Array {
    return join(bytes, new Uint8Array((4 - (bytes.length % 4)) % 4))
  }

  option(code: number, value: Uint8Array | string): Uint8Array {
    const bytes = typeof value === 'string' ? new TextEncoder().encode(value) : value
    return join(this.fields([2, code], [2, bytes.length]), this.padded(bytes))
  }

  /** Options with their end mark, nothing where there are none. */
  options(options: Uint8Array[]): Uint8Array {
    return options.length === 0 ? new Uint8Array(0) : join(...options, this.fields([4, 0]))
  }

  block(type: number, ...parts: Uint8Array[]): Uint8Array {
    const body = join(...parts)
    const length = body.length + 12
    return join(this.fields([4, type], [4, length]), body, this.fields([4, length]))
  }

  section(...options: Uint8Array[]): Uint8Array {
    const head = this.fields([4, 0x1a2b3c4d], [2, 1], [2, 0], [8, -1n])
    return this.block(0x0a0d0d0a, head, this.options(options))
  }

  interface(options: Uint8Array[] = [], linkType = 1, snapLen = 0): Uint8Array {
    return this.block(1, this.fields([2, linkType], [2, 0], [4, snapLen]), this.options(options))
  }

  ticks(ticks: bigint): Uint8Array {
    return this.fields([4, ticks >> 32n], [4, ticks & 0xffffffffn])
  }

  packet(
    index: number,
    ticks: bigint,
    bytes: Uint8Array,
    options: Uint8Array[] = [],
    original = bytes.length,
  ) {
    const head = join(
      this.fields([4, index]),
      this.ticks(ticks),
      this.fields([4, bytes.length], [4, original]),
    )
    return this.block(6, head, this.padded(bytes), this.options(options))
  }

  simple(bytes: Uint8Array, original = bytes.length): Uint8Array {
    return this.block(3, this.fields([4, original]), this.padded(bytes))
  }

  obsolete(index: number, drops: number, ticks: bigint, bytes: Uint8Array): Uint8Array {
    const head = join(this.fields([2, index], [2, drops]), this.ticks(ticks))
    return this.block(2, head, this.fields([4, bytes.length], [4, bytes.length]), this.padded(bytes))
  }

  statistics(index: number, ...options: Uint8Array[]): Uint8Array {
    return this.block(5, this.fields([4, index], [8, 0]), this.options(options))
  }

  names(...records: Uint8Array[]): Uint8Array {
    return this.block(4, ...records, this.fields([4, 0]))
  }
}
