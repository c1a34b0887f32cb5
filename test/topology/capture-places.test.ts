import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { capturePlaces, placeKey } from '../../src/topology/capture-places.ts'
import type { Container } from '../../src/topology/topology.ts'
import { containerOf, interfaceOf, onBridge, onOverlay, topologyOf } from './topologies.ts'

function namesOf(...containers: Container[]): string[] {
  return capturePlaces(topologyOf(containers), containers).map(({ name }) => name)
}

describe('one container', () => {
  test('default bridge: its way from the client to the uplink', () => {
    const web = containerOf('web')
    expect(capturePlaces(topologyOf([web]), [web])).toEqual([
      {
        name: 'container',
        netns: web.netnsPath,
        interfaceName: 'eth0',
        description: 'eth0 of container web',
        hardware: 'veth',
        container: web.id,
        next: 'veth',
      },
      {
        name: 'veth',
        netns: null,
        interfaceName: web.interfaces[0].peer!.interfaceName,
        description: expect.stringContaining('other end of eth0 of container web'),
        hardware: 'veth',
        container: web.id,
        next: 'bridge',
      },
      {
        name: 'bridge',
        netns: null,
        interfaceName: 'docker0',
        description: 'docker0, bridge of network bridge',
        hardware: 'bridge',
        next: 'uplink',
      },
      {
        name: 'uplink',
        netns: null,
        interfaceName: 'eth0',
        description: 'eth0, uplink of box',
        hardware: 'ether',
      },
    ])
  })

  test('two networks: the second interface carries its name', () => {
    const both = containerOf('both', { interfaces: [interfaceOf('eth0'), onBridge('eth1', 'mynet')] })
    expect(namesOf(both)).toEqual([
      'container',
      'veth',
      'container.eth1',
      'veth.eth1',
      'bridge',
      'bridge.mynet',
      'uplink',
    ])
  })

  test('host mode, no network, macvlan, a process on a namespace alone', () => {
    const host = containerOf('h', { mode: 'host', netnsPath: null, interfaces: [] })
    expect(namesOf(host)).toEqual(['uplink', 'lo'])
    expect(namesOf(containerOf('n', { mode: 'none', interfaces: [] }))).toEqual(['container'])
    const parent = { netnsPath: null, interfaceName: 'eth0', index: 2, kind: 'ether' }
    for (const kind of ['macvlan', 'ipvlan'] as const) {
      const one = interfaceOf('eth0', { kind, driver: kind, peer: null, parent })
      expect(namesOf(containerOf('m', { mode: kind, interfaces: [one] }))).toEqual(['container', 'parent'])
    }
  })

  test('overlay: the bridge and the VXLAN device of its namespace, and the way to the outside', () => {
    const web = containerOf('web', {
      mode: 'overlay',
      interfaces: [onBridge('eth1', 'gw'), onOverlay('eth0', 'ov')],
    })
    const places = capturePlaces(topologyOf([web]), [web])
    expect(places.map(({ name, interfaceName }) => `${name}=${interfaceName}`)).toEqual([
      'container=eth0',
      `overlay-veth=${web.interfaces[1].peer!.interfaceName}`,
      'container.eth1=eth1',
      `veth=${web.interfaces[0].peer!.interfaceName}`,
      'overlay=br0',
      'vxlan=vxlan0',
      'bridge=br-gw',
      'uplink=eth0',
    ])
    expect(places.find(({ name }) => name === 'vxlan')).toMatchObject({
      netns: '/run/docker/netns/1-ov',
      description: 'vxlan0, VXLAN 4097 of overlay network ov',
    })
  })

  test('several uplinks; interfaces that are down or could not be read are left out', () => {
    const web = containerOf('web', {
      interfaces: [
        interfaceOf('eth0'),
        interfaceOf('eth1', { isUp: false }),
        interfaceOf('?', { index: null }),
      ],
    })
    const uplinks = ['eth0', 'wwan0'].map((interfaceName) => ({ interfaceName, gateways: [] }))
    expect(capturePlaces(topologyOf([web], { uplinks }), [web]).map(({ name }) => name)).toEqual([
      'container',
      'veth',
      'bridge',
      'uplink',
      'uplink.wwan0',
    ])
  })

  test('one that does not run has none', () => {
    expect(
      namesOf(containerOf('gone', { state: 'exited', pid: null, netns: null, netnsPath: null })),
    ).toEqual([])
    expect(
      namesOf(
        containerOf('gone', { mode: 'host', state: 'exited', pid: null, netns: null, netnsPath: null }),
      ),
    ).toEqual([])
  })
})

describe('several containers', () => {
  test('shared points are there once', () => {
    expect(namesOf(containerOf('web'), containerOf('cli'))).toEqual([
      'web',
      'web.veth',
      'cli',
      'cli.veth',
      'bridge',
      'uplink',
    ])
  })

  test('several bridges are told apart by their networks', () => {
    const app = containerOf('app', { interfaces: [onBridge('eth0', 'mynet')] })
    expect(namesOf(containerOf('web'), app).slice(4)).toEqual(['bridge.bridge', 'bridge.mynet', 'uplink'])
  })

  test('those that share a namespace are captured once, under the name of its owner', () => {
    const web = containerOf('web')
    const { netns, netnsPath, interfaces } = web
    const side = containerOf('side', { mode: 'container', netns, netnsPath: '/proc/1/ns/net', interfaces })
    const places = capturePlaces(topologyOf([side, web]), [side, web])
    expect(places.map(({ name }) => name)).toEqual(['container', 'veth', 'bridge', 'uplink'])
    expect(places[0]).toMatchObject({ netns: netnsPath, description: 'eth0 of container web, side' })
  })

  test('one that is left keeps its names, and so do bridges', () => {
    const places = capturePlaces(topologyOf([containerOf('web')]), [containerOf('web')], { areSeveral: true })
    expect(places.map(({ name }) => name)).toEqual(['web', 'web.veth', 'bridge', 'uplink'])
  })

  test('what has a name keeps it when a network comes in front, and gives it back when it has gone', () => {
    const before = containerOf('web', { interfaces: [onBridge('eth1', 'mynet')] })
    const after = containerOf('web', { interfaces: [onBridge('eth0', 'a-net'), onBridge('eth1', 'mynet')] })
    const held = new Map(
      capturePlaces(topologyOf([before]), [before]).map((place) => [placeKey(place), place.name]),
    )
    const places = capturePlaces(topologyOf([after]), [after], { held })
    expect(places.map(({ name, interfaceName }) => `${name} ${interfaceName}`)).toMatchObject(
      expect.arrayContaining(['container eth1', 'container.eth0 eth0']),
    )
    const elsewhere = { ...before, netnsPath: '/proc/999/ns/net' }
    expect(capturePlaces(topologyOf([elsewhere]), [elsewhere], { held })[0]).toMatchObject({
      name: 'container',
      netns: '/proc/999/ns/net',
    })
  })

  test('one that is in no network at the moment is not taken for one that has none', () => {
    const left = containerOf('web', { interfaces: [] })
    expect(capturePlaces(topologyOf([left]), [left])[0]).toMatchObject({ interfaceName: 'lo' })
    const held = new Map()
    expect(capturePlaces(topologyOf([left]), [left], { held })).toEqual([])
    const none: Container = { ...left, mode: 'none' }
    expect(capturePlaces(topologyOf([none]), [none], { held })[0]).toMatchObject({ interfaceName: 'lo' })
  })

  test('names that could be something else are told apart', () => {
    const names = namesOf(containerOf('uplink'), containerOf('bridge'), containerOf('uplink.veth'))
    expect(new Set(names).size).toBe(names.length)
    expect(names.slice(0, 2)).toEqual(['uplink', 'uplink.veth'])
  })

  test('whatever containers and networks are called, names of points are unique, short and harmless', () => {
    const container = fc.record({ name: fc.string(), networks: fc.array(fc.string(), { maxLength: 3 }) })
    fc.assert(
      fc.property(fc.array(container, { maxLength: 5 }), (some) => {
        const containers = some.map(({ name, networks }, i) =>
          containerOf(name, {
            netns: 500 + i,
            netnsPath: `/proc/${500 + i}/ns/net`,
            interfaces: networks.map((network, n) => onBridge(`eth${n}`, network)),
          }),
        )
        const names = namesOf(...containers)
        expect(new Set(names).size).toBe(names.length)
        for (const name of names) expect(name).toMatch(/^[A-Za-z0-9._:-]{1,60}$/)
      }),
    )
  })
})
