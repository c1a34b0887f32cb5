/** The path as it is drawn, against the reports of the shipped captures, conntrack's own words, and odd flows. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { renderEndpoint } from '../../../src/report/endpoint.ts'
import type { DirectionName, FlowReport, Report } from '../../../src/report/model.ts'
import type { PagePacket } from '../../../src/report/page-data.ts'
import {
  type PathGap,
  type PathModel,
  type PathStation,
  pathModel,
} from '../../../src/report/web/path/path-model.ts'
import type { Stamp } from '../../../src/report/web/path/stamps.ts'
import { wayOf, wayOfPacket } from '../../../src/report/web/path/way.ts'
import { SCENARIOS } from '../../commands/program.ts'
import {
  doubleNat,
  flow,
  forwardDrop,
  hairpin,
  loss,
  report,
  translation,
  tunneled,
  way,
} from '../scenarios.ts'

const CAPTURES = join(import.meta.dirname, '../../../captures')
const DIRECTIONS: readonly DirectionName[] = ['forward', 'reverse']

function draw(all: Report, of: FlowReport, direction: DirectionName, descriptions = {}): PathModel {
  return pathModel(wayOf(of, direction), { ...all, descriptions })
}

function items(model: PathModel): (PathStation | PathGap)[] {
  return model.parts.flatMap((part) => (part.type === 'group' ? part.items : [part]))
}

function stations(model: PathModel): PathStation[] {
  return items(model).filter((item) => item.type === 'station')
}

function gaps(model: PathModel): PathGap[] {
  return items(model).filter((item) => item.type === 'gap')
}

function stamps(model: PathModel, ...kinds: Stamp['kind'][]): Stamp[] {
  return gaps(model).flatMap((gap) => gap.stamps.filter(({ kind }) => kinds.includes(kind)))
}

/** `Container: container | Host: veth bridge`. */
function outline({ parts }: PathModel): string {
  return parts
    .flatMap((part) => {
      if (part.type === 'gap') return []
      const names = part.items.flatMap((item) => (item.type === 'station' ? item.name : []))
      return `${part.hasWalls ? part.label : '–'}: ${names.join(', ')}`
    })
    .join(' | ')
}

describe.each(SCENARIOS)('%s', (scenario) => {
  const all: Report = JSON.parse(readFileSync(join(CAPTURES, scenario, 'expected.json'), 'utf8'))

  test('has the points, TTLs and losses of its flows', () => {
    for (const of of all.flows)
      for (const direction of DIRECTIONS) {
        const model = draw(all, of, direction)
        const { path } = of[direction]
        const seen = stations(model).filter(({ ttl }) => ttl !== null)
        expect(seen.map(({ name, ttl, packets }) => [name.replace(/ \(.*/, ''), ttl, packets])).toEqual(
          path.map(({ point, ttl, packets }) => [point, ttl, packets]),
        )
        expect(stamps(model, 'ttl').map(({ from, to }) => [from, to])).toEqual(
          path
            .slice(1)
            .flatMap(({ ttl }, i) => (ttl === path[i]!.ttl ? [] : [[`${path[i]!.ttl}`, `${ttl}`]])),
        )
        const lost = [...stamps(model, 'loss').map(({ word }) => word), ...model.notes]
        expect(lost.map((text) => Number.parseInt(text, 10))).toEqual(
          of.lost.filter((one) => one.direction === direction).map(({ packets }) => packets),
        )
      }
  })

  test('has its translations where they are made, and undone', () => {
    for (const of of all.flows) {
      const said = (kind: string, from: string, to: string) => `${kind} ${from} → ${to}`
      const known = of.translations.map(({ kind, from, to }) =>
        said(kind, renderEndpoint(from, of.protocol), renderEndpoint(to, of.protocol)),
      )
      const shown = (direction: DirectionName) =>
        stamps(draw(all, of, direction), 'snat', 'dnat').map(({ kind, from, to }) => said(kind, from!, to!))
      if (of.forward.path.length > 0) expect(shown('forward').sort()).toEqual(known.sort())
      for (const undone of shown('reverse')) {
        const [kind, rest] = [undone.slice(0, 4), undone.slice(5).split(' → ')]
        if (known.length > 0) expect(known).toContain(said(kind, rest[1]!, rest[0]!))
      }
    }
  })

  test('tells what conntrack has in its table', () => {
    const table = readFileSync(join(CAPTURES, scenario, 'conntrack.host.txt'), 'utf8').split('\n')
    for (const of of all.flows.filter(({ protocol }) => protocol === 'tcp'))
      for (const { from, to } of stamps(draw(all, of, 'forward'), 'snat')) {
        // The router keeps a table of its own.
        if (!from!.startsWith('172.')) continue
        const [[ip, port], [newIp, newPort]] = [from!.split(':'), to!.split(':')]
        const entry = table.find(
          (line) =>
            line.includes(`src=${ip} `) && line.includes(` sport=${port} `) && line.includes(`dst=${newIp} `),
        )
        expect(entry).toMatch(new RegExp(`dst=${newIp} sport=\\d+ dport=${newPort}\\b`))
      }
  })
})

describe('where points stand', () => {
  test('namespaces are walls, and a veth cable leads through them', () => {
    const model = draw(doubleNat, doubleNat.flows[0]!, 'forward')
    expect(outline(model)).toBe(
      'Container: container | Host: veth, bridge, uplink | Router: lan, wan | Server: server',
    )
    expect(model.parts[1]).toMatchObject({ type: 'gap', cable: 'veth', words: 'veth cable' })
    expect(model.isGuessed).toBe(true)
  })

  test('the way back has the same boxes the other way round', () => {
    expect(outline(draw(doubleNat, doubleNat.flows[0]!, 'reverse'))).toBe(
      'Server: server | Router: wan, lan | Host: uplink, bridge, veth | Container: container',
    )
  })

  test('a point stands twice where packets turn round', () => {
    const model = draw(hairpin, hairpin.flows[0]!, 'forward')
    expect(outline(model)).toBe(
      'Client: client | Host: clientveth, bridge, bridge (2nd time), serverveth | Server: server',
    )
    const turn = gaps(model).find(({ cable }) => cable === 'turn')!
    expect(turn.stamps.map(({ word }) => word)).toEqual(['DNAT', 'TTL', 'SNAT'])
  })

  test('what the capture says of its interfaces counts more than names', () => {
    const of = flow(
      1,
      way(1, 'x 10.0.0.1:1 10.0.0.2:2 64', 'y 10.0.0.1:1 10.0.0.2:2 64', 'z 10.0.0.1:1 10.0.0.2:2 64'),
      way(0),
    )
    const model = draw(report(['x', 'y', 'z'], [of]), of, 'forward', {
      x: 'eth0 of container web',
      y: 'veth1, other end of eth0 of container web',
      z: 'docker0, bridge',
    })
    expect(outline(model)).toBe('Container web: x | Host: y, z | –: Server')
    expect(model.isGuessed).toBe(false)
  })

  test('the name of a namespace stands as its owner wrote it; what a point is, its own name says', () => {
    const of = flow(
      1,
      way(1, 'x 10.0.0.1:1 10.0.0.2:2 64', 'bridge 10.0.0.1:1 10.0.0.2:2 64', 'wan 10.0.0.1:1 10.0.0.2:2 63'),
      way(0),
    )
    const model = draw(report(['x', 'bridge', 'wan'], [of]), of, 'forward', {
      x: 'eth0 in blue',
      bridge: 'docker0 in lab-host',
      wan: 'eth0 in wan',
    })
    expect(outline(model)).toBe('blue: x | lab-host: bridge | wan: wan')
    expect(stations(model).map(({ kind }) => kind)).toEqual(['container', 'bridge', 'container'])
  })

  test('points that nothing is known of stand without walls', () => {
    const of = flow(1, way(1, ...['a', 'b', 'c'].map((point) => `${point} 10.0.0.1:1 10.0.0.2:2 64`)), way(0))
    expect(outline(draw(report(['a', 'b', 'c'], [of]), of, 'forward'))).toBe(
      '–: Client | –: a, b, c | –: Server',
    )
  })
})

describe('what happens on the way', () => {
  test('a loss leaves the next point unreached, and everything behind it', () => {
    const model = draw(forwardDrop, forwardDrop.flows[0]!, 'forward')
    expect(outline(model)).toBe('Container: container | Host: veth, bridge, uplink | –: Server')
    expect(stations(model).map(({ isReached }) => isReached)).toEqual([true, true, true, false, false])
    expect(stamps(model, 'loss').map(({ word }) => word)).toEqual(['3 lost'])
    expect(gaps(model).map(({ isLossy, isDead }) => [isLossy, isDead])).toEqual([
      [false, false],
      [false, false],
      [true, false],
      [false, true],
    ])
  })

  test('a loss that is not between neighbours becomes a note', () => {
    const of = { ...forwardDrop.flows[0]!, lost: [loss('forward', 'container bridge', 2)] }
    const model = draw(forwardDrop, of, 'forward')
    expect(stamps(model, 'loss')).toEqual([])
    expect(model.notes).toEqual(['2 lost between container and bridge'])
  })

  test('a rewrite that only the replies show stands in front of the first point', () => {
    const of = flow(1, way(1, 'lo 127.0.0.1:5 127.0.0.11:9 64'), way(0), {
      protocol: 'udp',
      translations: [translation('dnat', 'lo lo', '127.0.0.11:53', '127.0.0.11:9')],
    })
    expect(items(draw(report(['lo'], [of]), of, 'forward'))[0]).toMatchObject({
      at: -0.5,
      stamps: [{ word: 'DNAT', from: '127.0.0.11:53', to: '127.0.0.11:9' }],
    })
  })

  test('tunnels are entered and left', () => {
    const plain = way(1, ...['a', 'b', 'c'].map((point) => `${point} 10.0.0.1:1 10.0.0.2:2 64`))
    const of = flow(1, tunneled(plain, 'b', 'vxlan 4097 192.0.2.1 192.0.2.2'), way(0))
    expect(
      stamps(draw(report(['a', 'b', 'c'], [of]), of, 'forward'), 'tunnel').map(({ word }) => word),
    ).toEqual(['into VXLAN 4097', 'out of VXLAN 4097'])
  })

  test('a packet has the part of the way that it went', () => {
    const of = doubleNat.flows[0]!
    const sightings = of.forward.path
      .slice(0, 2)
      .map((station, i) => ({ ...station, frames: [1], timeNs: `${100 + i}` }))
    const packet = {
      direction: 'forward',
      sightings,
      lostBetween: ['veth', 'bridge'],
      outcome: 'lost',
    } as unknown as PagePacket
    const model = pathModel(wayOfPacket(of, packet), { ...doubleNat, descriptions: {} })
    expect(outline(model)).toBe('Container: container | Host: veth, bridge | –: Server')
    expect(gaps(model).map(({ medianNs }) => medianNs)).toEqual([1, null, null])
  })
})

describe('odd flows', () => {
  const one = flow(1, way(1, 'a 10.0.0.1:1 10.0.0.2:2 64'), way(0))

  test('one without a way is nothing, and no error', () => {
    const of = { ...one, forward: way(0) }
    const model = draw(report([], [of]), of, 'forward')
    expect(model).toMatchObject({ parts: [], count: 0, widthRem: 0 })
  })

  test('one point has the ends beside it', () => {
    expect(outline(draw(report(['a'], [one]), one, 'forward'))).toBe('–: Client | –: a | –: Server')
  })

  test('60 points are 60 stations, and wider than any screen', () => {
    const points = Array.from({ length: 60 }, (_, i) => `veth${i}`)
    const of = flow(1, way(1, ...points.map((point) => `${point} 10.0.0.1:1 10.0.0.2:2 64`)), way(0))
    const model = draw(report(points, [of]), of, 'forward')
    expect(model.count).toBe(60)
    expect(model.widthRem).toBeGreaterThan(200)
  })

  test('names from outside stay short', () => {
    const long = 'x'.repeat(10_000)
    const of = flow(1, way(1, `${long} 10.0.0.1:1 10.0.0.2:2 64`), way(0))
    const model = draw(report([long], [of]), of, 'forward', { [long]: `eth0 of ${long}` })
    for (const { name } of stations(model)) expect(name.length).toBeLessThan(60)
    for (const part of model.parts) if (part.type === 'group') expect(part.label.length).toBeLessThan(120)
  })

  test('a report from elsewhere may lack links and have losses anywhere', () => {
    const of = { ...one, lost: [loss('forward', 'a a', 1), loss('forward', 'nowhere a', 2)] }
    const model = draw({ ...report(['a'], [of]), links: [] }, of, 'forward')
    expect(model.notes).toEqual(['1 lost between a and a', '2 lost between nowhere and a'])
  })
})
