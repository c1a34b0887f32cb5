/**
 * Generates very many short TCP flows through masquerade: three packets each (SYN, SYN-ACK, ACK), as container, veth,
 * bridge and uplink would capture them. All of them are open at the end. Without any code of `src/`.
 */

import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'

const NAMES = ['container', 'veth', 'bridge', 'uplink'] as const
const UPLINK = 3
/** When a packet on its way out passes each of the points, in ns; on its way in it takes them the other way round. */
const HOP_NS = 500
const FLOW_GAP_NS = 10_000
const START_SECONDS = 1_800_000_000
const FRAME_BYTES = 54
const RECORD_BYTES = 16 + FRAME_BYTES
const IP = 14
const TCP = 34
const SYN = 0x02
const SYN_ACK = 0x12
const ACK = 0x10
const [HTTPS, SERVER] = [443, [203, 0, 113, 10]]

interface Ends {
  ip: readonly number[]
  port: number
}

/** Writes four pcap files into `folder` and returns their paths. */
export function generateManyFlows(folder: string, flows: number): string[] {
  mkdirSync(folder, { recursive: true })
  const paths = NAMES.map((name) => join(folder, `${name}.pcap`))
  paths.forEach((path, point) => {
    writePoint(path, point, flows)
  })
  return paths
}

/** The client of a flow, as a point sees it: addresses are numbered, ports first inside, addresses last outside. */
export function clientOf(flow: number, isOutside: boolean): Ends {
  if (isOutside) return { ip: [192, 168, 78, 1 + Math.floor(flow / 64_000)], port: 1024 + (flow % 64_000) }
  return { ip: [172, 17, 0, 2 + (flow % 50)], port: 1024 + (Math.floor(flow / 50) % 60_000) }
}

function writePoint(path: string, point: number, flows: number): void {
  const file = openSync(path, 'w')
  const header = Buffer.alloc(24)
  for (const [at, word] of [0xa1b23c4d, 0x00040002, 0, 0, 262_144, 1].entries())
    header.writeUInt32LE(word, 4 * at)
  writeSync(file, header)
  const piece = Buffer.alloc(RECORD_BYTES * 3 * 1024)
  let used = 0
  for (let flow = 0; flow < flows; flow++) {
    const client = clientOf(flow, point === UPLINK)
    const beginNs = flow * FLOW_GAP_NS
    const [isn, theirs] = [Math.imul(flow, 7919), Math.imul(flow, 104_729)]
    const there = beginNs + point * HOP_NS
    const back = beginNs + 5000 + (UPLINK - point) * HOP_NS
    const outTtl = point === UPLINK ? 63 : 64
    const inTtl = point === UPLINK ? 64 : 63
    const server = { ip: SERVER, port: HTTPS }
    used = putFrame(piece, used, there, flow, client, server, outTtl, SYN, isn, 0)
    used = putFrame(piece, used, back, flow, server, client, inTtl, SYN_ACK, theirs, isn + 1)
    used = putFrame(piece, used, there + 8000, flow, client, server, outTtl, ACK, isn + 1, theirs + 1)
    if (used < piece.length && flow + 1 < flows) continue
    writeSync(file, piece, 0, used)
    used = 0
  }
  closeSync(file)
}

/** Puts a record into `out` at `at`; returns where it ends. */
function putFrame(
  out: Buffer,
  at: number,
  timeNs: number,
  flow: number,
  from: Ends,
  to: Ends,
  ttl: number,
  flags: number,
  seq: number,
  ack: number,
): number {
  out.fill(0, at, at + RECORD_BYTES)
  out.writeUInt32LE(START_SECONDS + Math.floor(timeNs / 1e9), at)
  out.writeUInt32LE(timeNs % 1e9, at + 4)
  out.writeUInt32LE(FRAME_BYTES, at + 8)
  out.writeUInt32LE(FRAME_BYTES, at + 12)
  const frame = at + 16
  out.writeUInt16BE(0x0800, frame + 12)
  out[frame + IP] = 0x45
  out.writeUInt16BE(40, frame + IP + 2)
  out.writeUInt16BE((flow & 0xffff) | 1, frame + IP + 4)
  out[frame + IP + 8] = ttl
  out[frame + IP + 9] = 6
  out.set(from.ip, frame + IP + 12)
  out.set(to.ip, frame + IP + 16)
  out.writeUInt16BE(from.port, frame + TCP)
  out.writeUInt16BE(to.port, frame + TCP + 2)
  out.writeInt32BE(seq | 0, frame + TCP + 4)
  out.writeInt32BE(ack | 0, frame + TCP + 8)
  out[frame + TCP + 12] = 0x50
  out[frame + TCP + 13] = flags
  out.writeUInt16BE(64_240, frame + TCP + 14)
  return at + RECORD_BYTES
}
