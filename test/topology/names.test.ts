import { expect, test } from 'vitest'
import { addressNames } from '../../src/topology/names.ts'
import type { KnownContainer } from '../../src/topology/topology.ts'
import { containerOf, interfaceOf, topologyOf } from './topologies.ts'

function known(name: string, addresses: string[], gateway: string): KnownContainer {
  const gateways = [{ ip: gateway, name: 'docker0' }]
  return { id: name, name, image: null, state: 'running', status: null, addresses, gateways }
}

test('containers, gateways and the host have names; what two claim has none', () => {
  const web = containerOf('web')
  const side = containerOf('side', { mode: 'container', sharesNetworkWith: 'web' })
  const blue = containerOf('blue', {
    interfaces: [interfaceOf('eth0', { addresses: [{ ip: '10.0.0.1', prefixLength: 8 }] })],
  })
  const topology = {
    ...topologyOf([web, side, blue]),
    known: [
      known('web', ['172.17.0.2'], '172.17.0.1'),
      known('cli', ['172.17.0.3', 'fd00::3'], '172.17.0.1'),
      known('a', ['192.0.2.9'], '192.0.2.1'),
      known('b', ['192.0.2.9'], '192.0.2.1'),
      known('thief', ['192.0.2.2'], '192.0.2.1'),
    ],
  }
  expect(Object.fromEntries(addressNames(topology))).toEqual({
    '192.0.2.2': 'box',
    '172.17.0.1': 'docker0',
    '192.0.2.1': 'docker0',
    '172.17.0.2': 'web',
    '172.17.0.3': 'cli',
    'fd00::3': 'cli',
    '10.0.0.1': 'blue',
  })
})
