/**
 * Generates what `npm run bench` measures: TCP flows through masquerade, as container, veth, bridge and uplink would
 * capture them, and the truth about their translations. Deterministic, streaming, and without any code of `src/`.
 *
 *   node .bench/js/bench/generate.js FOLDER [FRAMES [FLOWS [SEED]]]
 */

import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'

export const POINTS = ['container', 'veth', 'bridge', 'uplink'] as const

export interface GenerateOptions {
  /** Frames in each of the four files. */
  frames: number
  flows: number
  seed: number
}

export interface TrueTranslation {
  client: { ip: string; port: number }
  server: { ip: string; port: number }
  /** The client as the uplink shows it. */
  outside: { ip: string; port: number }
  forwardPackets: number
  reversePackets: number
}

const START_SECONDS = 1_800_000_000
/** Between two packets of the whole capture, on average: 50,000 packets/s. */
const MEAN_GAP_NS = 20_000
const PAYLOAD_BYTES = 200
const CLIENT_IP = [172, 17, 0, 2]
const HOST_IP = [192, 168, 78, 100]
const SERVER_IPS = [10, 11, 12, 13].map((last) => [203, 0, 113, last])
const SERVER_PORT = 443
const CONTAINER_MAC = [0x02, 0x42, 0xac, 0x11, 0x00, 0x02]
const BRIDGE_MAC = [0x02, 0x42, 0x5e, 0x10, 0x00, 0x01]
const HOST_MAC = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56]
const GATEWAY_MAC = [0x52, 0x54, 0x00, 0x65, 0x43, 0x21]
const FIN = 0x01
const SYN = 0x02
const PSH = 0x08
const ACK = 0x10

/** Offsets in the frame: Ethernet, IPv4 without options, TCP. */
const IP = 14
const TCP = 34

/** Bytes kept for one queued frame, and frames that may be on their way between two points at once. */
const SLOT_BYTES = 288
const SLOTS = 1024

class Random {
  #state: number
  constructor(seed: number) {
    this.#state = seed >>> 0
  }
  /** A float in [0, 1) (mulberry32). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  integer(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1))
  }
}

/** Frames of one direction that a point will see soon, in order of time. */
class Queue {
  readonly times = new Float64Array(SLOTS)
  readonly lengths = new Uint32Array(SLOTS)
  readonly bytes = Buffer.alloc(SLOTS * SLOT_BYTES)
  head = 0
  count = 0
  /** Time of the last frame put in: a wire keeps the order. */
  lastNs = 0

  push(timeNs: number, frame: Buffer, length: number): void {
    if (this.count === SLOTS) throw new Error('more frames on the way than the queue holds')
    const slot = (this.head + this.count++) % SLOTS
    this.times[slot] = timeNs
    this.lengths[slot] = length
    frame.copy(this.bytes, slot * SLOT_BYTES, 0, length)
    this.lastNs = timeNs
  }

  get nextNs(): number {
    return this.count > 0 ? this.times[this.head] : Number.POSITIVE_INFINITY
  }
}

/** One point's file: two directions merged by time into a classic nanosecond pcap, written through one buffer. */
class PointFile {
  readonly forward = new Queue()
  readonly reverse = new Queue()
  readonly #fd: number
  readonly #buffer = Buffer.alloc(1 << 20)
  #used = 24

  constructor(path: string) {
    this.#fd = openSync(path, 'w')
    for (const [at, value] of [0xa1b23c4d, 0x00040002, 0, 0, 262_144, 1].entries()) {
      this.#buffer.writeUInt32LE(value, at * 4)
    }
  }

  /** Writes what was seen before `untilNs`. */
  flush(untilNs: number): void {
    while (true) {
      const queue = this.forward.nextNs <= this.reverse.nextNs ? this.forward : this.reverse
      if (queue.nextNs >= untilNs) return
      this.#write(queue)
    }
  }

  close(): void {
    this.flush(Number.POSITIVE_INFINITY)
    writeSync(this.#fd, this.#buffer, 0, this.#used)
    closeSync(this.#fd)
  }

  #write(queue: Queue): void {
    const timeNs = queue.times[queue.head]
    const length = queue.lengths[queue.head]
    if (this.#used + 16 + length > this.#buffer.length) {
      writeSync(this.#fd, this.#buffer, 0, this.#used)
      this.#used = 0
    }
    const buffer = this.#buffer
    const seconds = Math.floor(timeNs / 1e9)
    buffer.writeUInt32LE(START_SECONDS + seconds, this.#used)
    buffer.writeUInt32LE(timeNs - seconds * 1e9, this.#used + 4)
    buffer.writeUInt32LE(length, this.#used + 8)
    buffer.writeUInt32LE(length, this.#used + 12)
    const from = queue.head * SLOT_BYTES
    queue.bytes.copy(buffer, this.#used + 16, from, from + length)
    this.#used += 16 + length
    queue.head = (queue.head + 1) % SLOTS
    queue.count--
  }
}

/** A connection: what its two ends know, and how many packets it has yet to send. */
interface Flow {
  client: number
  outside: number
  server: number[]
  /** Packets in all, and sent so far. */
  budget: number
  sent: number
  forwardPackets: number
  reversePackets: number
  /** Earliest time of the next packet. */
  readyNs: number
  /** Index 0: the client's, 1: the server's. */
  seq: [number, number]
  ipId: [number, number]
  tsBase: [number, number]
  tsLast: [number, number]
  /** Data flows mostly to the client (a download) or to the server. */
  bulkFrom: 0 | 1
  /** Segments of the current train to come, and those not acknowledged. */
  train: number
  unacknowledged: number
}

/** Writes `NAME.pcap` for each point and `truth.json` into `folder`; returns the truth. */
export function generate(folder: string, options: GenerateOptions): TrueTranslation[] {
  mkdirSync(folder, { recursive: true })
  const random = new Random(options.seed)
  const files = POINTS.map((name) => new PointFile(join(folder, `${name}.pcap`)))
  const flows = makeFlows(options, random)
  const text = makeText(random)
  const frame = Buffer.alloc(SLOT_BYTES)
  const running = [...flows]
  let nowNs = 0

  while (running.length > 0) {
    let at = random.integer(0, running.length - 1)
    for (let probes = 0; probes < running.length && running[at].readyNs > nowNs; probes++) {
      at = (at + 1) % running.length
    }
    const flow = running[at]
    if (flow.readyNs > nowNs) {
      nowNs = running.reduce((earliest, { readyNs }) => Math.min(earliest, readyNs), Number.POSITIVE_INFINITY)
      continue
    }
    // A burst: until the other side has to speak.
    for (let burst = random.integer(1, 4); burst > 0 && flow.sent < flow.budget; burst--) {
      for (const file of files) file.flush(nowNs)
      const packet = nextPacket(flow, random)
      const arrivalNs = transmit(flow, packet)
      nowNs += Math.round(MEAN_GAP_NS * (0.25 + 1.5 * random.next()))
      if (turnsAround(flow, packet.from)) {
        flow.readyNs = arrivalNs + random.integer(30_000, 300_000)
        break
      }
    }
    if (flow.sent === flow.budget) {
      running[at] = running.at(-1)!
      running.pop()
    }
  }
  for (const file of files) file.close()
  const truth = flows.map(trueTranslation)
  writeFileSync(join(folder, 'truth.json'), JSON.stringify(truth))
  return truth

  /** Lets all four points see the packet; returns when the last one does. */
  function transmit(flow: Flow, packet: Packet): number {
    const length = writeFrame(frame, flow, packet, text, Math.floor(nowNs / 1e6))
    let timeNs = nowNs
    for (let hop = 0; hop < files.length; hop++) {
      const point = packet.from === 0 ? hop : files.length - 1 - hop
      const file = files[point]
      const queue = packet.from === 0 ? file.forward : file.reverse
      if (hop > 0) timeNs += random.integer(5_000, 40_000)
      timeNs = Math.max(timeNs, queue.lastNs + 500)
      dress(frame, flow, packet, point === 3, text)
      queue.push(timeNs, frame, length)
    }
    return timeNs
  }
}

interface Packet {
  /** 0 the client, 1 the server. */
  from: 0 | 1
  flags: number
  payloadBytes: number
  /** Where in the text the payload is taken from. */
  textAt: number
}

function makeFlows({ frames, flows, seed }: GenerateOptions, random: Random): Flow[] {
  const least = 8
  if (frames < least * flows || flows > 28_000) {
    throw new Error(`cannot make ${flows} flows of at least ${least} packets out of ${frames} frames`)
  }
  const weights = Array.from({ length: flows }, () => 0.5 + random.next())
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  const budgets = weights.map((weight) => least + Math.floor(((frames - least * flows) * weight) / total))
  const given = budgets.reduce((sum, budget) => sum + budget, 0)
  for (let rest = 0; rest < frames - given; rest++) budgets[rest % flows]++
  return budgets.map((budget, index) => {
    // 7919 shares no factor with 28,000: each flow has a port of its own.
    const client = 32_768 + ((index * 7919 + seed) % 28_000)
    return {
      client,
      outside: index % 50 === 17 ? 1024 + index : client,
      server: SERVER_IPS[index % SERVER_IPS.length],
      budget,
      ...{ sent: 0, forwardPackets: 0, reversePackets: 0, train: 0, unacknowledged: 0 },
      // They begin one after the other, in the first tenth.
      readyNs: Math.floor((index / flows) * frames * MEAN_GAP_NS * 0.1),
      seq: [random.integer(0, 2 ** 32 - 1), random.integer(0, 2 ** 32 - 1)],
      ipId: [random.integer(1, 0xffff), random.integer(1, 0xffff)],
      tsBase: [random.integer(0, 2 ** 31), random.integer(0, 2 ** 31)],
      tsLast: [0, 0],
      bulkFrom: index % 3 === 0 ? 0 : 1,
    }
  })
}

/** Handshake, requests with trains of data in return and an ACK for every other segment, FIN, FIN, ACK. */
function nextPacket(flow: Flow, random: Random): Packet {
  const packet: Packet = { from: 0, flags: ACK, payloadBytes: 0, textAt: 2 * random.integer(0, 2000) }
  const bulk = flow.bulkFrom
  const left = flow.budget - flow.sent
  if (flow.sent === 0) packet.flags = SYN
  else if (flow.sent === 1) [packet.flags, packet.from] = [SYN | ACK, 1]
  else if (left === 3) packet.flags = FIN | ACK
  else if (left === 2) [packet.flags, packet.from] = [FIN | ACK, 1]
  else if (flow.sent > 2 && left > 3) {
    if (flow.unacknowledged >= 2) {
      packet.from = bulk === 0 ? 1 : 0
      flow.unacknowledged = 0
    } else if (flow.train > 0) {
      ;[packet.from, packet.flags, packet.payloadBytes] = [bulk, PSH | ACK, PAYLOAD_BYTES]
      flow.train--
      flow.unacknowledged++
    } else {
      ;[packet.from, packet.flags, packet.payloadBytes] = [bulk === 0 ? 1 : 0, PSH | ACK, PAYLOAD_BYTES]
      flow.train = random.integer(2, 9)
      flow.unacknowledged = 0
    }
  }
  flow.sent++
  if (packet.from === 0) flow.forwardPackets++
  else flow.reversePackets++
  return packet
}

/** Whether the flow's next packet has to wait for the last one to arrive. */
function turnsAround(flow: Flow, from: 0 | 1): boolean {
  const left = flow.budget - flow.sent
  if (flow.sent < 3 || left <= 3 || flow.unacknowledged >= 2) return true
  const next = flow.train > 0 ? flow.bulkFrom : 1 - flow.bulkFrom
  return next !== from
}

/** Random letters (no dissector takes them for a protocol of its own) and the sums of its 16-bit words, so that a payload's share of a checksum is one subtraction. */
function makeText(random: Random): { bytes: Buffer; sums: Float64Array } {
  const bytes = Buffer.from(Array.from({ length: 4200 + PAYLOAD_BYTES }, () => random.integer(97, 122)))
  const sums = new Float64Array(bytes.length / 2 + 1)
  for (let word = 0; word < bytes.length / 2; word++)
    sums[word + 1] = sums[word] + bytes.readUInt16BE(word * 2)
  return { bytes, sums }
}

/** Everything that stays the same on the way; returns the frame's length. */
function writeFrame(
  frame: Buffer,
  flow: Flow,
  packet: Packet,
  text: { bytes: Buffer },
  clockMs: number,
): number {
  const { from, flags, payloadBytes } = packet
  const to = from === 0 ? 1 : 0
  const syn = (flags & SYN) > 0
  const optionBytes = syn ? 20 : 12
  const ipBytes = 40 + optionBytes + payloadBytes
  frame.writeUInt16BE(0x0800, 12)
  frame.writeUInt16BE(0x4500, IP)
  frame.writeUInt16BE(ipBytes, IP + 2)
  const synAck = syn && from === 1
  if (!synAck) flow.ipId[from] = (flow.ipId[from] + 1) & 0xffff
  frame.writeUInt16BE(synAck ? 0 : flow.ipId[from], IP + 4)
  frame.writeUInt16BE(0x4000, IP + 6)
  frame[IP + 9] = 6
  frame.writeUInt32BE(flow.seq[from], TCP + 4)
  frame.writeUInt32BE(flags & ACK ? flow.seq[to] : 0, TCP + 8)
  frame[TCP + 12] = ((20 + optionBytes) / 4) << 4
  frame[TCP + 13] = flags
  frame.writeUInt16BE(syn ? 64_240 : 502, TCP + 14)
  frame.writeUInt16BE(0, TCP + 18)
  flow.tsLast[from] = (flow.tsBase[from] + clockMs) % 2 ** 32
  const stampAt = TCP + 20 + (syn ? 6 : 2)
  frame.writeUInt32BE(syn ? 0x020405b4 : 0x0101080a, TCP + 20)
  if (syn) {
    frame.writeUInt16BE(0x0402, TCP + 24)
    frame.writeUInt32BE(0x01030307, TCP + 36)
  }
  frame.writeUInt16BE(0x080a, stampAt)
  frame.writeUInt32BE(flow.tsLast[from], stampAt + 2)
  frame.writeUInt32BE(flags & ACK ? flow.tsLast[to] : 0, stampAt + 6)
  text.bytes.copy(frame, TCP + 20 + optionBytes, packet.textAt, packet.textAt + payloadBytes)
  flow.seq[from] = (flow.seq[from] + payloadBytes + (flags & (SYN | FIN) ? 1 : 0)) % 2 ** 32
  return IP + ipBytes
}

/** What the place changes: MACs, TTL, the client's address and port, and the checksums. */
function dress(
  frame: Buffer,
  flow: Flow,
  packet: Packet,
  outside: boolean,
  text: { sums: Float64Array },
): void {
  const clientMac = outside ? HOST_MAC : CONTAINER_MAC
  const serverMac = outside ? GATEWAY_MAC : BRIDGE_MAC
  const clientIp = outside ? HOST_IP : CLIENT_IP
  const clientPort = outside ? flow.outside : flow.client
  const forward = packet.from === 0
  frame.set(forward ? serverMac : clientMac, 0)
  frame.set(forward ? clientMac : serverMac, 6)
  frame.set(forward ? clientIp : flow.server, IP + 12)
  frame.set(forward ? flow.server : clientIp, IP + 16)
  frame.writeUInt16BE(forward ? clientPort : SERVER_PORT, TCP)
  frame.writeUInt16BE(forward ? SERVER_PORT : clientPort, TCP + 2)
  if (forward) frame[IP + 8] = outside ? 63 : 64
  else frame[IP + 8] = outside ? 57 : 56
  frame.writeUInt16BE(0, IP + 10)
  frame.writeUInt16BE(~fold(sumWords(frame, IP, TCP)) & 0xffff, IP + 10)
  const tcpBytes = frame.readUInt16BE(IP + 2) - 20
  const pseudo = sumWords(frame, IP + 12, IP + 20) + 6 + tcpBytes
  frame.writeUInt16BE(0, TCP + 16)
  // The container leaves its sums to the hardware behind the uplink; what came over the wire has whole ones.
  if (forward && !outside) {
    frame.writeUInt16BE(fold(pseudo), TCP + 16)
    return
  }
  const headerEnd = TCP + ((frame[TCP + 12] >> 4) << 2)
  const first = packet.textAt / 2
  const payload = text.sums[first + packet.payloadBytes / 2] - text.sums[first]
  frame.writeUInt16BE(~fold(pseudo + sumWords(frame, TCP, headerEnd) + payload) & 0xffff, TCP + 16)
}

function sumWords(bytes: Buffer, start: number, end: number): number {
  let sum = 0
  for (let at = start; at < end; at += 2) sum += (bytes[at] << 8) | bytes[at + 1]
  return sum
}

function fold(sum: number): number {
  let folded = sum
  while (folded > 0xffff) folded = (folded & 0xffff) + Math.floor(folded / 0x10000)
  return folded
}

function trueTranslation(flow: Flow): TrueTranslation {
  const { client, outside, server, forwardPackets, reversePackets } = flow
  return {
    client: { ip: CLIENT_IP.join('.'), port: client },
    server: { ip: server.join('.'), port: SERVER_PORT },
    outside: { ip: HOST_IP.join('.'), port: outside },
    forwardPackets,
    reversePackets,
  }
}

if (import.meta.filename === process.argv[1]) {
  const [folder, frames = '1000000', flows = '1000', seed = '1'] = process.argv.slice(2)
  if (folder === undefined) throw new Error('usage: generate.js FOLDER [FRAMES [FLOWS [SEED]]]')
  generate(folder, { frames: Number(frames), flows: Number(flows), seed: Number(seed) })
}
