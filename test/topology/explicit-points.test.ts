import { expect, test } from 'vitest'
import { parsePoint } from '../../src/topology/explicit-points.ts'

test.each([
  ['a=eth0', null, 'eth0'],
  ['a=blue:eth0', '/run/netns/blue', 'eth0'],
  ['a=4711:eth0', '/proc/4711/ns/net', 'eth0'],
  ['a=/proc/4711/ns/net:eth0', '/proc/4711/ns/net', 'eth0'],
  ['a=/run/odd:name:eth0', '/run/odd:name', 'eth0'],
  ['a=br-4c925cc48974', null, 'br-4c925cc48974'],
  ['a=eth0=1', null, 'eth0=1'],
])('%s', (text, netns, interfaceName) => {
  expect(parsePoint(text)).toMatchObject({ name: 'a', netns, interfaceName })
})

test.each([
  'eth0',
  '=eth0',
  'a=',
  'a=blue:',
  'a=:eth0',
  'a b=eth0',
  'a=eth0/1',
  'a=..',
  'a=longer-than-ifnames',
  '',
])('refused: %j', (text) => {
  expect(() => parsePoint(text)).toThrow(/give NAME=INTERFACE or NAME=NETNS:INTERFACE/)
})
