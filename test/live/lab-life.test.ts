/** The lab's life: built twice, removed after anything, and never noticed by the machine that it is built on. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { statSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import { requireRoot, requireTool } from '../tools.ts'
import { PROGRAM } from './capturing.ts'
import { lab, labName, machine, tracesOf } from './labs.ts'

/** HOPTRACE_LAB_ROUNDS=100 for the long run. */
const ROUNDS = Number(process.env.HOPTRACE_LAB_ROUNDS ?? 5)
const KILLS_AT_MS = [300, 500, 700, 1000]

describe.skipIf(!(requireRoot() && requireTool('nsenter', 'iptables', 'nft')))('the life of a lab', () => {
  const [one, other] = [labName('one'), labName('two')]

  afterEach(async () => {
    for (const name of [one, other]) await lab(0, 'down', '--name', name)
    expect([...tracesOf(one), ...tracesOf(other)]).toEqual([])
  })

  test(`up and down ${ROUNDS} times leaves nothing, and the machine as it was`, {
    timeout: ROUNDS * 30_000,
  }, async () => {
    const before = machine()
    for (let round = 0; round < ROUNDS; round++) {
      await lab(0, 'up', '--name', one)
      expect(tracesOf(one).length).toBeGreaterThan(15)
      expect(machine()).toBe(before)
      await lab(0, 'down', '--name', one)
      expect(tracesOf(one)).toEqual([])
    }
    expect(machine()).toBe(before)
  })

  test('up twice is one lab, and its status tells', async () => {
    const status = async () => (await lab(0, 'status', '--name', one)).stdout
    expect(await status()).toBe('The lab is down.\n')
    await lab(0, 'up', '--name', one)
    const inode = () => statSync(`/run/netns/hoptrace-lab-${one}-host`).ino
    const before = inode()
    await lab(0, 'up', '--name', one)
    expect(inode()).toBe(before)
    const shown = await status()
    expect(shown).toMatch(/^The lab is up\.$/m)
    expect(shown).toMatch(/^ {2}container1 +172\.17\.0\.2 /m)
    expect(shown).toMatch(/^Processes +6$/m)
  })

  test.each(KILLS_AT_MS)('killed %i ms after its beginning, down removes what there is', async (ms) => {
    const child = spawn(process.execPath, [PROGRAM, 'lab', 'up', '--name', one], { stdio: 'ignore' })
    const ended = once(child, 'exit')
    await sleep(ms)
    child.kill('SIGKILL')
    await ended
    await lab(0, 'down', '--name', one)
    expect(tracesOf(one)).toEqual([])
  })

  test('killed in the middle of a run, down ends the capture as well; and up after a kill builds it anew', async () => {
    const start = (...words: string[]) =>
      spawn(process.execPath, [PROGRAM, 'lab', ...words, '--name', one], { stdio: 'ignore' })
    const builder = start('up')
    await sleep(500)
    builder.kill('SIGKILL')
    await once(builder, 'exit')
    await lab(0, 'up', '--name', one)
    const run = start('run', 'udp-ping')
    while (!tracesOf(one).some((trace) => trace.includes(' capture '))) await sleep(20)
    run.kill('SIGKILL')
    await once(run, 'exit')
    await lab(0, 'down', '--name', one)
    expect(tracesOf(one)).toEqual([])
  })

  test('two labs do not meet: a fault in one, and its end, are nothing to the other', async () => {
    await Promise.all([lab(0, 'up', '--name', one), lab(0, 'up', '--name', other)])
    await lab(0, 'break', 'not-listening', '--name', one)
    await lab(1, 'run', 'published', '--json', '--name', one)
    await lab(0, 'run', 'published', '--json', '--name', other)
    await lab(0, 'down', '--name', one)
    expect(tracesOf(one)).toEqual([])
    await lab(0, 'run', 'outbound', '--json', '--name', other)
    await lab(2, 'run', 'outbound', '--name', one)
  }, 300_000)
})
