/** What the packet view shows, against tshark's own positions of fields, and whatever frames hold. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { LinkType } from '../../../src/capture/link-types.ts'
import { comparedLayers } from '../../../src/report/explain/compare.ts'
import type { ExplainedStation } from '../../../src/report/explain/model.ts'
import type { PageFrame, PagePacket } from '../../../src/report/page-data.ts'
import { changedBytes, dumpRows } from '../../../src/report/web/packet/byte-dump.ts'
import { chosenPacket, nearestNumber } from '../../../src/report/web/packet/chosen-packet.ts'
import { fieldBytes } from '../../../src/report/web/packet/field-bytes.ts'
import { changeCount, headerTable } from '../../../src/report/web/packet/header-table.ts'
import { keyedLayers } from '../../../src/report/web/packet/layer-keys.ts'
import { bytesOf, decodedFrame } from '../../../src/report/web/packet/page-frame.ts'
import { ethernet, ipv4, tcp, udp, vlan, vxlan } from '../../decode/frames.ts'
import { writePcap } from '../../decode/pcap-file.ts'
import { SAMPLES } from '../../decode/samples.ts'
import { requireTool, run } from '../../tools.ts'

const folder = mkdtempSync(join(tmpdir(), 'hoptrace-packet-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** Our fields by tshark's names, where both mean the same bytes. */
const THEIRS: Readonly<Record<string, string>> = {
  'Ethernet source': 'eth.src',
  'Ethernet destination': 'eth.dst',
  'Ethernet VLAN': 'vlan.id ieee8021ad.id',
  'Linux cooked packet type': 'sll.pkttype',
  'Linux cooked interface': 'sll.ifindex',
  'Linux cooked source': 'sll.src.eth',
  'Linux cooked type': 'sll.etype',
  'IPv4 source': 'ip.src',
  'IPv4 destination': 'ip.dst',
  'IPv4 TTL': 'ip.ttl',
  'IPv4 protocol': 'ip.proto',
  'IPv4 identification': 'ip.id',
  'IPv4 flags': 'ip.flags',
  'IPv4 fragment offset': 'ip.frag_offset',
  'IPv4 DSCP and ECN': 'ip.dsfield',
  'IPv4 total length': 'ip.len',
  'IPv4 checksum': 'ip.checksum',
  'IPv6 source': 'ipv6.src',
  'IPv6 hop limit': 'ipv6.hlim',
  'IPv6 payload length': 'ipv6.plen',
  'TCP source port': 'tcp.srcport',
  'TCP destination port': 'tcp.dstport',
  'TCP sequence': 'tcp.seq_raw',
  'TCP acknowledgment': 'tcp.ack_raw',
  'TCP window': 'tcp.window_size_value',
  'TCP checksum': 'tcp.checksum',
  'TCP options': 'tcp.options',
  'UDP source port': 'udp.srcport',
  'UDP destination port': 'udp.dstport',
  'UDP length': 'udp.length',
  'UDP checksum': 'udp.checksum',
  'ICMP type': 'icmp.type',
  'ICMP code': 'icmp.code',
  'ICMP checksum': 'icmp.checksum',
  'ICMP identifier': 'icmp.ident',
  'ICMP MTU': 'icmp.mtu',
  'ICMPv6 type': 'icmpv6.type',
  'ICMPv6 checksum': 'icmpv6.checksum',
  'ICMPv6 identifier': 'icmpv6.echo.identifier',
  'ICMPv6 MTU': 'icmpv6.mtu',
  'VXLAN VNI': 'vxlan.vni',
  'Geneve VNI': 'geneve.vni',
  'GTP-U TEID': 'gtp.teid',
}

describe.skipIf(!requireTool('tshark'))('bytes of fields', () => {
  test.each([
    [LinkType.Ethernet, 700],
    [LinkType.LinuxSll, 20],
    [LinkType.LinuxSll2, 20],
  ])('stand where tshark sees them (link type %d)', (linkType, minimum) => {
    const samples = SAMPLES[linkType]!
    const file = join(folder, `${linkType}.pcap`)
    const frames = samples.map(({ bytes, originalLenBytes = bytes.length }) => ({
      bytes: Uint8Array.from(bytes),
      originalLenBytes,
    }))
    writePcap(file, { linkType, frames })
    const packets = run('tshark', '-r', file, '-T', 'pdml').split('<packet>').slice(1)
    expect(packets.length).toBe(samples.length)
    let compared = 0
    samples.forEach(({ bytes, name }, i) => {
      const frame = decodedFrame(pageFrame(bytes, linkType))
      for (const { layer } of keyedLayers(frame)) {
        for (const field of layer.fields) {
          const theirs = THEIRS[`${layer.kind} ${field.name}`]
          if (theirs === undefined) continue
          const nth = nthOf(layer.fields, field)
          const range = fieldBytes(layer, field.name, nth, linkType)
          expect(range, `${name}: ${layer.kind} ${field.name}`).not.toBeNull()
          const at = `${range!.end - range!.start} at ${range!.start}`
          const places = placesIn(packets[i]!, theirs)
          // Of fragments and what it takes for malformed tshark does not show all.
          if (places.length === 0) continue
          expect(places, `${name}: ${theirs}`).toContain(at)
          compared++
        }
      }
    })
    expect(compared).toBeGreaterThan(minimum)
  })
})

test('a tunnel is put around: what is inside stays in its rows, and only the outside is new', () => {
  const packet = ipv4({ protocol: 6, ttl: 64 }, tcp({ flags: 2 }))
  const plain = ethernet(0x0800, packet)
  const outer = ethernet(0x0800, ipv4({ protocol: 17 }, udp(5555, 4789, vxlan(7, plain))))
  const { columns, groups } = tableOf([plain, outer])
  expect(columns.map(({ frames }) => frames)).toEqual([[1], [2]])
  expect(groups.map(({ title }) => title)).toEqual([
    'outer Ethernet',
    'outer IPv4',
    'outer UDP',
    'VXLAN',
    'inner Ethernet',
    'inner IPv4',
    'inner TCP',
  ])
  const states = (title: string) =>
    new Set(groups.find((group) => group.title === title)!.rows.map(({ cells }) => cells[1]?.state))
  for (const title of ['outer Ethernet', 'outer IPv4', 'outer UDP', 'VXLAN'])
    expect(states(title), title).toEqual(new Set(['new']))
  for (const title of ['inner Ethernet', 'inner IPv4', 'inner TCP'])
    expect(states(title), title).toEqual(new Set(['same']))
  const [a, b] = [pageFrame(plain), pageFrame(outer)]
  const changed = changedBytes(
    { frame: decodedFrame(b), bytes: bytesOf(b) },
    { frame: decodedFrame(a), bytes: bytesOf(a), lenBytes: a.lenBytes },
  )
  const around = outer.length - plain.length
  expect([...changed]).toEqual([...Array(around).fill(1), ...Array(plain.length).fill(0)])
  const back = tableOf([outer, plain])
  expect(back.groups.find(({ title }) => title === 'VXLAN')!.rows[0]!.cells[1]!.state).toBe('gone')
})

test('a VLAN tag that is put on stands in a row of its own, between those around it', () => {
  const packet = ipv4({ protocol: 6 }, tcp({ flags: 2 }))
  const tagged = tableOf([ethernet(0x0800, packet), ethernet(0x8100, vlan(42, 0x0800, packet))])
  const { rows } = tagged.groups[0]!
  expect(rows.map(({ name }) => name)).toEqual(['source', 'destination', 'VLAN', 'type'])
  expect(rows[2]!.cells.map((cell) => cell?.value)).toEqual([undefined, '42'])
})

test('what changed is counted, and coloured by what it means for the direction', () => {
  const seen = (ttl: number) => ethernet(0x0800, ipv4({ protocol: 6, ttl }, tcp({ flags: 2 })))
  const table = tableOf([seen(64), seen(63)])
  expect(changeCount(table)).toMatch(/^2 of \d+ fields change on the way$/)
  const changed = table.groups.flatMap(({ rows }) => rows.filter(({ isChanged }) => isChanged))
  expect(changed.map(({ name, tone }) => [name, tone])).toEqual([
    ['TTL', 'ttl'],
    ['checksum', 'other'],
  ])
  expect(changed[0]!.cells[1]).toMatchObject({ value: '63', before: '64', state: 'changed' })
  expect(changeCount(tableOf([seen(64), seen(64)]))).toMatch(/^none of \d+ fields changes on the way$/)
  const toneOf = (direction: 'forward' | 'reverse') =>
    tableOf([seen(64)], direction).groups[1]!.rows.find(({ name }) => name === 'source')!.tone
  expect([toneOf('forward'), toneOf('reverse')]).toEqual(['snat', 'dnat'])
})

test('a frame that could not be read again leaves what joining kept', () => {
  const seen = (ttl: number) => ethernet(0x0800, ipv4({ protocol: 6, ttl }, tcp({ flags: 2 })))
  const { columns, groups } = tableOf([seen(64), null, seen(63)])
  expect(columns.map(({ frame }) => frame !== null)).toEqual([true, false, true])
  const cellsOf = (title: string, name: string) =>
    groups.find((group) => group.title === title)!.rows.find((row) => row.name === name)!.cells
  expect(cellsOf('IPv4', 'TTL').map((cell) => [cell?.value, cell?.state])).toEqual([
    ['64', 'same'],
    ['99', 'joined'],
    ['63', 'changed'],
  ])
  expect(cellsOf('TCP', 'source port')[1]).toMatchObject({ value: '1000', state: 'joined' })
  expect(cellsOf('TCP', 'window')[1]).toBeNull()
  const none = tableOf([null])
  expect(none.groups.map(({ title }) => title)).toEqual(['IPv4', 'TCP'])
})

test('behind the end of what was kept of the frame before nothing is called changed', () => {
  const data = Array.from({ length: 40 }, (_, i) => i)
  const whole = ethernet(0x0800, ipv4({ protocol: 17 }, udp(1, 2, data)))
  const [cut, all] = [{ ...pageFrame(whole.slice(0, 60)), lenBytes: whole.length }, pageFrame(whole)]
  const as = (frame: PageFrame) => ({ frame: decodedFrame(frame), bytes: bytesOf(frame), ...frame })
  expect(changedBytes(as(all), as(cut)).includes(1)).toBe(false)
  const longer = pageFrame(ethernet(0x0800, ipv4({ protocol: 17 }, udp(1, 2, [...data, 1, 2]))))
  expect([...changedBytes(as(longer), as(all)).slice(-2)]).toEqual([1, 1])
})

const anyFrame = fc
  .record({
    sample: fc.constantFrom(
      ...Object.entries(SAMPLES).flatMap(([linkType, list]) =>
        list.map(({ bytes }) => ({ linkType: Number(linkType), bytes })),
      ),
    ),
    keep: fc.double({ min: 0, max: 1, noNaN: true }),
    changes: fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { maxLength: 4 }),
    more: fc.oneof(fc.constant(0), fc.nat(2000)),
  })
  .map(({ sample: { linkType, bytes }, keep, changes, more }): PageFrame => {
    const cut = bytes.slice(0, Math.ceil(keep * bytes.length))
    for (const [at, value] of changes) if (at < cut.length) cut[at] = value
    return { ...pageFrame(cut, linkType), lenBytes: cut.length + more }
  })

test('whatever the frames are, all fields are in the table once, and bytes are inside of the frame', () => {
  fc.assert(
    fc.property(fc.array(anyFrame, { minLength: 1, maxLength: 4 }), (pageFrames) => {
      const { groups } = tableOfFrames(pageFrames)
      const frames = pageFrames.map((frame) => decodedFrame(frame))
      frames.forEach((frame, i) => {
        const fields = keyedLayers(frame).flatMap(({ layer }) => layer.fields)
        const cells = groups
          .flatMap(({ rows }) => rows.map(({ cells }) => cells[i]!))
          .filter((cell) => cell && cell.state !== 'gone')
        expect(cells.length).toBe(fields.length)
        const length = pageFrames[i]!.hex.length / 2
        for (const { bytes } of cells) {
          if (bytes === null) continue
          expect(bytes.start).toBeGreaterThanOrEqual(0)
          expect(bytes.end).toBeGreaterThan(bytes.start)
          expect(bytes.end).toBeLessThanOrEqual(length)
        }
      })
      const [one, two] = [pageFrames[0]!, pageFrames.at(-1)!]
      const changed = changedBytes(
        { frame: frames.at(-1)!, bytes: bytesOf(two) },
        { frame: frames[0]!, bytes: bytesOf(one), lenBytes: one.lenBytes },
      )
      expect(changed.length).toBe(two.hex.length / 2)
      if (one === two) expect(changed.includes(1)).toBe(false)
    }),
    { numRuns: 400 },
  )
})

test('a dump has all bytes in rows, and marks runs', () => {
  const bytes = Uint8Array.from({ length: 19 }, (_, i) => 0x3c + i)
  const changed = new Uint8Array(19).fill(1, 2, 4)
  const rows = dumpRows(bytes, 8, changed, { start: 3, end: 5 })
  expect(rows.map(({ offset, missing }) => [offset, missing])).toEqual([
    ['0000', 0],
    ['0008', 0],
    ['0010', 5],
  ])
  expect(rows.flatMap(({ runs }) => runs.map(({ hex }) => hex)).join(' ')).toBe(
    [...bytes].map((byte) => byte.toString(16)).join(' '),
  )
  expect(rows[0]!.runs).toEqual([
    { hex: '3c 3d', text: '<=', isChanged: false, isMarked: false },
    { hex: '3e', text: '>', isChanged: true, isMarked: false },
    { hex: '3f', text: '?', isChanged: true, isMarked: true },
    { hex: '40', text: '@', isChanged: false, isMarked: true },
    { hex: '41 42 43', text: 'ABC', isChanged: false, isMarked: false },
  ])
  expect(dumpRows(Uint8Array.of(0, 0x1b, 0x7f, 0xff), 16, null, null)[0]!.runs[0]!.text).toBe('....')
})

test('the packet that is not on the page has neighbours that are', () => {
  const packets = [1, 2, 9].map((number) => ({ number }) as PagePacket)
  expect(chosenPacket(packets, null)).toEqual({ packet: packets[0], previous: null, next: 2 })
  expect(chosenPacket(packets, 9)).toEqual({ packet: packets[2], previous: 2, next: null })
  expect(chosenPacket(packets, 5)).toEqual({ packet: null, previous: 2, next: 9 })
  expect(chosenPacket([], 5)).toEqual({ packet: null, previous: null, next: null })
  expect([nearestNumber(packets, 7), nearestNumber(packets, -4), nearestNumber([], 1)]).toEqual([9, 1, null])
})

function pageFrame(bytes: readonly number[], linkType: number = LinkType.Ethernet): PageFrame {
  const hex = bytes.map((byte) => byte.toString(16).padStart(2, '0')).join('')
  return { lenBytes: bytes.length, hex, ...(linkType === LinkType.Ethernet ? {} : { linkType }) }
}

function tableOf(frames: readonly (readonly number[] | null)[], direction?: 'forward' | 'reverse') {
  return tableOfFrames(
    frames.map((bytes) => bytes && pageFrame(bytes)),
    direction,
  )
}

/** As the explanation has them: stations of what could be read, each compared with the one before. */
function tableOfFrames(
  pageFrames: readonly (PageFrame | null)[],
  direction: 'forward' | 'reverse' = 'forward',
) {
  const frames = pageFrames.map((frame) => (frame ? [decodedFrame(frame)] : []))
  const readable = frames.flat()
  const stations = readable.map(
    (frame, i) => ({ layers: comparedLayers(frame, readable[i - 1] ?? null) }) as ExplainedStation,
  )
  const packet = {
    direction,
    protocol: 'tcp',
    sightings: pageFrames.map((_, i) => ({
      point: `p${i}`,
      frames: [i + 1],
      timeNs: String(1000 * i),
      ttl: 99,
      src: { ip: '10.0.0.1', port: 1000 },
      dst: { ip: '10.0.0.2', port: 80 },
    })),
  } as unknown as PagePacket
  return headerTable(packet, stations, frames)
}

function nthOf<T extends { name: string }>(fields: readonly T[], field: T): number {
  return fields.slice(0, fields.indexOf(field)).filter(({ name }) => name === field.name).length
}

/** `2 at 34`, of each field of these names. */
function placesIn(pdml: string, names: string): string[] {
  return [...pdml.matchAll(/<field name="([^"]+)"[^>]*? size="(\d+)" pos="(\d+)"/g)].flatMap(
    ([, field, size, pos]) => (names.split(' ').includes(field!) ? [`${size} at ${pos}`] : []),
  )
}
