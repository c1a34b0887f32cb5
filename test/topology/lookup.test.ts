import { expect, test } from 'vitest'
import type { ListedContainer } from '../../src/topology/docker-objects.ts'
import { findContainer } from '../../src/topology/lookup.ts'

const ALL = [
  listed('web', 'aa11aa11aa11aa11'),
  listed('web2', 'aa22aa22aa22aa22'),
  listed('shop-db-1', 'bb33bb33bb33bb33'),
  listed('gone', 'cc44cc44cc44cc44', 'exited'),
]

function listed(name: string, id: string, state: ListedContainer['state'] = 'running'): ListedContainer {
  return { id, name, image: null, state, status: null, endpoints: [] }
}

test.each([
  ['web', 'web'],
  ['/web', 'web'],
  ['web2', 'web2'],
  ['aa22', 'web2'],
  ['bb33bb33bb33bb33', 'shop-db-1'],
  ['shop', 'shop-db-1'],
  ['g', 'gone'],
])('%s is %s', (wanted, name) => {
  expect(findContainer(ALL, wanted).name).toBe(name)
})

test.each([
  ['we', 'container we is not unique: it begins web and web2: give more of the name'],
  ['aa', 'container aa is not unique: it begins web and web2: give more of the name'],
  ['wbe', 'no container is called wbe: did you mean web?'],
  ['weeb2', 'no container is called weeb2: did you mean web2?'],
  ['db-1', 'no container is called db-1: did you mean shop-db-1?'],
  ['mailer', 'no container is called mailer: these run: shop-db-1, web and web2'],
  ['a\u001b[2Jb', 'no container is called a\\x1B[2Jb: these run: shop-db-1, web and web2'],
  ['', 'no container is called : these run: shop-db-1, web and web2'],
])('%j is answered in one line', (wanted, message) => {
  expect(() => findContainer(ALL, wanted)).toThrow(expect.objectContaining({ message, exitCode: 2 }))
})

test('where none runs, and where there are many', () => {
  expect(() => findContainer([ALL[3]], 'mailer')).toThrow('none runs at the moment')
  const many = Array.from({ length: 12 }, (_, i) => listed(`job${i}`, `${i}`.repeat(12)))
  expect(() => findContainer(many, 'mailer')).toThrow('job0, job1, job10, job11, job2 and 7 more')
  expect(() => findContainer(many, 'job')).toThrow('it begins job0, job1, job2, job3, job4 and 7 more')
})
