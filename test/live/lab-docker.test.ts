/** The lab around a real Docker engine of its own: the same scenarios and faults, the engine's rules, and nothing left behind. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { FAULTS } from '../../src/lab/faults.ts'
import { SCENARIOS } from '../../src/lab/scenarios.ts'
import { hoptrace, shell } from '../commands/program.ts'
import { requireRoot, requireTool } from '../tools.ts'
import { PROGRAM } from './capturing.ts'
import {
  expectFault,
  expectScenario,
  LabPool,
  lab,
  labName,
  machine,
  mountsOf,
  processOf,
  tracesOf,
} from './labs.ts'

/** HOPTRACE_LAB_ROUNDS=100 for the long run. */
const ROUNDS = Number(process.env.HOPTRACE_LAB_ROUNDS ?? 2)
/** While namespaces are made, the engine starts, containers start. */
const KILLS_AT_MS = [400, 800, 1400, 2000]
/** Those in what the engine made: rules, containers. The rest are the same in any lab. */
const ENGINE_FAULTS = [
  'not-listening',
  'loopback-only',
  'server-stopped',
  'masquerade-deleted',
  'user-rule-drops',
  'wrong-target',
]
const TOOLS = ['nsenter', 'unshare', 'iptables', 'nft', 'dockerd', 'containerd', 'runc', 'docker']

describe.skipIf(!(requireRoot() && requireTool(...TOOLS)))('a lab with an engine', () => {
  let before: string
  const pool = new LabPool(['da', 'db', 'dc'].map(labName), '--docker')

  beforeAll(async () => {
    before = machine()
    await pool.up()
  })
  afterAll(async () => {
    await pool.down()
    expect(pool.names.flatMap(tracesOf)).toEqual([])
    expect(machine()).toBe(before)
  })

  describe('that is up', { concurrent: true, timeout: 300_000 }, () => {
    test.each(SCENARIOS)('$name comes out as it should', ({ name }) =>
      pool.use((one) => expectScenario(one, name)),
    )

    test.each(FAULTS.filter(({ name }) => ENGINE_FAULTS.includes(name)))(
      '$name, in secret, is named by the first finding, and healed',
      (fault) => pool.use((one) => expectFault(one, fault)),
    )

    test('its rules are those that the engine wrote, and so are they after a fault was healed', () =>
      pool.use(async (one) => {
        const rules = async () => {
          const words = ['iptables', '-t', 'nat', '-S']
          return (await lab(0, 'shell', 'host', '--name', one, '--', ...words)).stdout
        }
        const built = await rules()
        for (const [port, ip] of [['8080', '172.17.0.2'] as const, ['8081', '172.17.0.3'] as const])
          expect(built).toMatch(
            RegExp(`-A DOCKER ! -i docker0 .*--dport ${port} -j DNAT --to-destination ${ip}:80\n`),
          )
        await lab(0, 'break', 'masquerade-deleted', '--name', one)
        expect(await rules()).not.toBe(built)
        await lab(0, 'fix', '--name', one)
        expect(await rules()).toBe(built)
      }))

    test('docker and points --container find its containers from the host', () =>
      pool.use(async (one) => {
        const docker = async (...words: string[]) =>
          (await lab(0, 'shell', 'host', '--name', one, '--', 'docker', ...words)).stdout
        expect((await docker('ps', '--format', '{{.Names}}')).split('\n').sort().join(' ')).toBe(
          ' container1 container2 container3',
        )
        expect(await docker('exec', 'container3', 'cat', '/etc/resolv.conf')).toMatch(
          /^nameserver 127\.0\.0\.11$/m,
        )
        expect(await docker('top', 'container1')).toContain(' container1 http=0.0.0.0:80')
        const words = [process.execPath, PROGRAM, 'points', '--container', 'container2']
        const points = await lab(0, 'shell', 'host', '--name', one, '--', ...words)
        expect(points.stdout).toMatch(/container2/)
        expect(points.stdout).toMatch(/docker0/)
      }))

    test('whatever is done to a container, fix makes it anew', () =>
      pool.use(async (one) => {
        const docker = (...words: string[]) =>
          lab(0, 'shell', 'host', '--name', one, '--', 'docker', ...words)
        await docker('restart', '--time', '0', 'container1')
        await docker('pause', 'container2')
        await lab(0, 'fix', '--name', one)
        await expectScenario(one, 'bridge')
        await docker('rm', '--force', 'container1')
        await lab(0, 'fix', '--name', one)
        await expectScenario(one, 'published')
      }))

    test('an engine that was killed, or its containerd, makes it no whole lab, and up builds it anew', () =>
      pool.use(async (one) => {
        const dockerd = Number(readFileSync(`/run/hoptrace-lab-${one}/engine/docker.pid`, 'utf8'))
        process.kill(processOf(one, ': containerd --config')!, 'SIGKILL')
        await vi.waitUntil(() => !existsSync(`/proc/${dockerd}`), { timeout: 20_000 })
        await lab(2, 'run', 'outbound', '--name', one)
        await lab(0, 'up', '--name', one)
        expect((await lab(0, 'status', '--name', one)).stdout).toMatch(/^Engine +Docker \d/m)
        await expectScenario(one, 'outbound')
      }))
  })

  describe('and its life', { timeout: 300_000 }, () => {
    const one = labName('dl')

    test(`up and down ${ROUNDS} times leaves nothing, and the machine as it was`, async () => {
      for (let round = 0; round < ROUNDS; round++) {
        await lab(0, 'up', '--docker', '--name', one)
        await lab(0, 'up', '--docker', '--name', one)
        // The engine's mounts are its own.
        expect(mountsOf(`/run/hoptrace-lab-${one}`)).toEqual([])
        expect(machine()).toBe(before)
        await lab(0, 'down', '--name', one)
        expect(tracesOf(one)).toEqual([])
      }
    })

    test.each(KILLS_AT_MS)('killed %i ms after its beginning, down removes what there is', async (ms) => {
      const child = spawn(process.execPath, [PROGRAM, 'lab', 'up', '--docker', '--name', one], {
        stdio: 'ignore',
      })
      const ended = once(child, 'exit')
      await sleep(ms)
      child.kill('SIGKILL')
      await ended
      await lab(0, 'down', '--name', one)
      expect(tracesOf(one)).toEqual([])
    })

    test('a lab without an engine is not taken for one, and a missing engine is named', async () => {
      await lab(0, 'up', '--name', one)
      const refused = await hoptrace('lab', 'up', '--docker', '--name', one)
      expect(refused.stderr).toMatch(
        /^hoptrace: the lab is up, without an engine: sudo hoptrace lab down .*\n$/,
      )
      expect(refused.code).toBe(2)
      await lab(0, 'down', '--name', one)
      const hidden = 'mount --bind /dev/null "$(command -v dockerd)"'
      const script = `${hidden}; exec "${process.execPath}" "${PROGRAM}" lab up --docker --name ${one}`
      const missing = await shell(`unshare --mount sh -c '${script}'`)
      expect(missing.stderr).toBe(
        'hoptrace: lab up --docker needs the program dockerd: install it (Debian: docker.io)\n',
      )
      expect(missing.code).toBe(2)
      expect(tracesOf(one)).toEqual([])
    })

    test('an engine that cannot start is told, and leaves nothing', async () => {
      const broken = 'mount --bind /bin/false "$(command -v containerd)"'
      const script = `${broken}; exec "${process.execPath}" "${PROGRAM}" lab up --docker --name ${one}`
      const failed = await shell(`unshare --mount sh -c '${script}'`)
      expect(failed.stderr).toMatch(/^hoptrace: the lab's engine: it ended at its start.*\n$/)
      expect(failed.code).toBe(2)
      expect(tracesOf(one)).toEqual([])
    })

    test('dockerd makes no /etc/docker where the machine has none', async () => {
      // In a copy of the machine's /etc, whose layer shows what was written there.
      const script = [
        'mount -t tmpfs tmpfs /mnt && mkdir /mnt/upper /mnt/work',
        'mount -t overlay -o lowerdir=/etc,upperdir=/mnt/upper,workdir=/mnt/work overlay /etc',
        'rm -rf /etc/docker',
        `"${process.execPath}" "${PROGRAM}" lab up --docker --name ${one}`,
        'test ! -e /etc/docker',
      ].join(' && ')
      const { stderr, code } = await shell(`unshare --mount sh -c '${script}'`)
      expect(stderr).toBe('')
      expect(code).toBe(0)
      await lab(0, 'down', '--name', one)
      expect(tracesOf(one)).toEqual([])
    })
  })
})
