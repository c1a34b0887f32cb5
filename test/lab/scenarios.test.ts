/** Scenarios, faults, rules and the worksheet, before anything is built. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { FAULTS } from '../../src/lab/faults.ts'
import { RULES } from '../../src/lab/rules.ts'
import { SCENARIOS } from '../../src/lab/scenarios.ts'
import { ALL_STATIONS, labNames, netnsOf, stationNamed } from '../../src/lab/stations.ts'
import { renderWorksheet } from '../../src/lab/worksheet.ts'
import { parseExpectation } from '../../src/report/expectations/parse.ts'
import { shell } from '../commands/program.ts'

test.each(SCENARIOS)(
  '$name: says what to look for and what is expected of it, in words that --expect knows',
  (one) => {
    expect(one.lookFor.length).toBeGreaterThan(0)
    expect(one.expect.map(parseExpectation).length).toBeGreaterThan(1)
    for (const { at } of one.steps) expect(stationNamed(at)).toBe(at)
  },
)

test('names are there once, and each fault has a scenario that runs into it', () => {
  for (const names of [SCENARIOS, FAULTS].map((list) => list.map(({ name }) => name)))
    expect(new Set(names).size).toBe(names.length)
  for (const { scenario } of FAULTS) expect(SCENARIOS.map(({ name }) => name)).toContain(scenario)
  expect(FAULTS.length).toBeGreaterThanOrEqual(12)
})

test('two labs share no namespace, whatever they are called', () => {
  const labs = [undefined, 'a', 'host', 'a-host', 'b'].map((name) => labNames(name))
  const all = labs.flatMap((names) => ALL_STATIONS.map((station) => netnsOf(names, station)))
  expect(new Set(all).size).toBe(all.length)
  for (const name of ['', '..', 'a/b', 'A', '-a', 'a-', 'x'.repeat(21), 'a b', 'ä', 'a\n'])
    expect(() => labNames(name), name).toThrow('--name')
})

/** A chain's rules without counters, `docker0` before other bridges. */
function chain(text: string, table: string, name: string): string[] {
  const [, part = ''] = new RegExp(`^\\*${table}$(.*?)^COMMIT$`, 'ms').exec(text) ?? []
  return part
    .split('\n')
    .map((line) => line.replace(/^\[\d+:\d+\] /, ''))
    .filter((line) => line.startsWith(`-A ${name} `))
}

test('its rules are those that a real engine made', () => {
  const docker = readFileSync(join(import.meta.dirname, '../topology/recorded/iptables.txt'), 'utf8')
  for (const name of ['FORWARD', 'DOCKER', 'DOCKER-ISOLATION-STAGE-1', 'DOCKER-ISOLATION-STAGE-2']) {
    const mine = chain(RULES.host!, 'filter', name).filter((line) => !line.includes('172.17.0.3/32'))
    expect(mine, name).toEqual(chain(docker, 'filter', name))
  }
  for (const name of ['PREROUTING', 'OUTPUT', 'POSTROUTING']) {
    const mine = chain(RULES.host!, 'nat', name).filter((line) => !line.includes('172.17.0.3/32'))
    expect(mine, name).toEqual(chain(docker, 'nat', name))
  }
})

test('the worksheet is in order, and gives nothing away without --solutions', () => {
  const sheet = renderWorksheet(false)
  const solved = renderWorksheet(true)
  const numbers = [...sheet.matchAll(/^### (\d+)\. /gm)].map(([, number]) => Number(number))
  expect(numbers).toEqual(numbers.map((_, i) => i + 1))
  expect(numbers.length).toBeGreaterThan(20)
  for (const { name, solution } of FAULTS) {
    expect(sheet).not.toContain(name)
    expect(sheet).not.toContain(solution)
    expect(solved).toContain(`lab break ${name} --secret`)
    expect(solved).toContain(solution)
  }
  for (const [, name] of sheet.matchAll(/lab run ([\w-]+)/g))
    expect(SCENARIOS.some((one) => one.name === name)).toBe(true)
})

test('what needs no root is told to everybody, and the rest says that it needs it', async () => {
  const list = await shell('hoptrace lab list')
  expect(list.code).toBe(0)
  for (const { name } of [...SCENARIOS, ...FAULTS]) expect(list.stdout).toContain(`  ${name} `)
  const sheet = await shell('hoptrace lab worksheet -o - --solutions')
  expect(sheet.stdout).toBe(renderWorksheet(true))
  const asNobody = 'setpriv --reuid 65534 --regid 65534 --clear-groups'
  for (const command of ['up', 'down', 'status', 'run outbound', 'fix', 'shell host']) {
    const refused = await shell(
      `${process.getuid?.() === 0 ? `${asNobody} ` : ''}${process.execPath} bin/hoptrace.js lab ${command}`,
    )
    expect(refused.stderr).toMatch(/^hoptrace: .*needs root.*\n$/)
    expect(refused.code).toBe(3)
  }
})

test.each([
  ['lab run nothing', /no scenario of that name: choose one of outbound,/],
  ['lab break nothing', /no fault of that name: choose one of not-listening,/],
  ['lab break', /name one fault/],
  ['lab break ttl-1 --random', /name one fault/],
  ['lab shell nowhere', /no station of that name/],
  ['lab up --name ../x', /--name: give a lab a name/],
  ['lab run', /missing required argument 'scenario' \(hoptrace lab run --help shows how\)/],
  ['lab dance', /unknown command 'dance'/],
])('hoptrace %s: one line, exit code 2', async (command, says) => {
  const { stderr, code } = await shell(`hoptrace ${command}`)
  expect(stderr).toMatch(says)
  expect(stderr).toMatch(/^hoptrace: .*\n$/)
  expect(code).toBe(process.getuid?.() === 0 || /--name|missing|unknown/.test(String(says)) ? 2 : 3)
})
