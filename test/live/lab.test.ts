/** The lab as it is used: scenarios and faults run for real, all of them, and what is printed is kept as goldens. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { FAULTS } from '../../src/lab/faults.ts'
import { SCENARIOS } from '../../src/lab/scenarios.ts'
import { hoptrace, shell } from '../commands/program.ts'
import { requireRoot, requireTool } from '../tools.ts'
import { fieldsOf, packetsIn } from './capturing.ts'
import { expectFault, expectScenario, LabPool, lab, labName, processOf } from './labs.ts'

const PRINTED = ['outbound', 'published', 'hairpin', 'double-nat', 'dns']
/** As tshark sees them: point, source and TTL. */
const DOUBLE_NAT_SYNS = [
  'bridge 172.17.0.2 64',
  'container 172.17.0.2 64',
  'internet 203.0.113.1 62',
  'router-lan 192.168.78.100 63',
  'router-wan 203.0.113.1 62',
  'uplink 192.168.78.100 63',
  'veth 172.17.0.2 64',
]
const GOLDENS = join(import.meta.dirname, 'goldens')

describe.skipIf(
  !(requireRoot() && requireTool('nsenter', 'iptables', 'nft', 'busybox', 'tshark', 'capinfos')),
)('a lab', { concurrent: true, timeout: 300_000 }, () => {
  // Each test waits until it has a lab to itself.
  const pool = new LabPool(['a', 'b', 'c'].map(labName))
  let folder: string
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'hoptrace-lab-'))
    await pool.up()
  })
  afterAll(async () => {
    await pool.down()
    rmSync(folder, { recursive: true })
  })

  test.each(SCENARIOS.filter(({ name }) => !PRINTED.includes(name)))(
    '$name comes out as it should',
    ({ name }) => pool.use((one) => expectScenario(one, name)),
  )

  test.each(PRINTED)('%s comes out as it should, is printed as the golden, and its capture is kept', (name) =>
    pool.use(async (one) => {
      const capture = join(folder, `${name}.pcapng`)
      const { stdout } = await lab(0, 'run', name, '-w', capture, '--name', one)
      expect(packetsIn(capture)).toBeGreaterThan(10)
      if (name === 'double-nat') expect(synsIn(capture)).toEqual(DOUBLE_NAT_SYNS)
      const golden = join(GOLDENS, `lab-${name}.txt`)
      if (process.env.HOPTRACE_WRITE_GOLDENS) writeFileSync(golden, masked(stdout))
      expect(masked(stdout)).toBe(readFileSync(golden, 'utf8'))
    }),
  )

  test.each(FAULTS)('$name, in secret, is named by the first finding, and healed', (fault) =>
    pool.use((one) => expectFault(one, fault)),
  )

  test('what the kernel counted is told to be incomplete where its beginning was read late', () =>
    pool.use(async (one) => {
      const programs = mkdtempSync(join(folder, 'programs-'))
      // One after the other, for the host; at the end they are as fast as ever.
      for (const program of ['nft', 'iptables-nft-save']) {
        const slow = 'for i in 1 2; do mkdir "$0.$i" 2>/dev/null && sleep 7 && break; done'
        const script = `#!/bin/sh\n${slow}\nPATH=\${PATH#*:} exec ${program} "$@"\n`
        writeFileSync(join(programs, program), script, { mode: 0o755 })
      }
      const { stdout } = await shell(`PATH="${programs}:$PATH" hoptrace lab run outbound --name ${one}`)
      expect(stdout).toMatch(/^ {2}not read: the beginning \(it took more than 10 s, so packets had come/m)
    }))

  test('where it cannot be read at all, the run says so', () =>
    pool.use(async (one) => {
      const running = hoptrace('lab', 'run', 'udp-ping', '--name', one)
      const helper = await vi.waitUntil(() => processOf(one, 'receipts-helper-program'), { timeout: 60_000 })
      process.kill(helper, 'SIGKILL')
      const { stderr, code } = await running
      expect(stderr).toMatch(/^hoptrace: what the kernel counted could not be read: .*\n$/)
      expect(code).toBe(0)
    }))

  test('--explain walks a packet through the stations', () =>
    pool.use(async (one) => {
      const { stdout, stderr } = await lab(0, 'run', 'bridge', '--explain', '--name', one)
      expect(stderr).toBe('')
      expect(stdout).toMatch(/^→ Packet 1 of \d+ {2}\[S\] /m)
      expect(stdout).toMatch(/^1 container2 .* namespace: container2$/m)
      expect(stdout).toMatch(/^5 container1 .* namespace: container1$/m)
    }))

  test('a shell is in the network of its station', () =>
    pool.use(async (one) => {
      const shown = await lab(0, 'shell', 'container3', '--name', one, '--', 'ip', '-4', '-o', 'address')
      expect(shown.stdout).toMatch(/ eth0 +inet 172\.18\.0\.2\/16 /)
      await lab(7, 'shell', 'router', '--name', one, '--', 'sh', '-c', 'exit 7')
    }))

  test('a fault that is no secret is shown, a secret one is not; a second one is refused', () =>
    pool.use(async (one) => {
      await lab(2, 'check', 'masquerade', '--name', one)
      await lab(0, 'break', 'ttl-1', '--name', one)
      expect((await lab(0, 'status', '--name', one)).stdout).toMatch(/^Fault +ttl-1$/m)
      await lab(2, 'break', 'rp-filter', '--name', one)
      expect((await lab(1, 'check', 'masquerade is missing', '--name', one)).stdout).toContain('not it')
      expect((await lab(0, 'check', 'its TTL is 1', '--name', one)).stdout).toContain('Right.')
      await lab(0, 'fix', '--name', one)
      await lab(0, 'break', '--random', '--secret', '--name', one)
      const { stdout } = await lab(0, 'status', '--name', one)
      expect(stdout).toMatch(/^Fault +there is one; which one is secret$/m)
      for (const { name } of FAULTS) expect(stdout).not.toContain(name)
      await lab(0, 'up', '--name', one)
      expect((await lab(0, 'status', '--name', one)).stdout).toMatch(/^Fault +none$/m)
    }))
})

function synsIn(file: string): string[] {
  const syns = fieldsOf(file, ['frame.interface_name', 'ip.src', 'ip.ttl'], '-Y', 'tcp.flags == 2')
  return syns.map((fields) => fields.join(' ')).sort()
}

/** Without what differs from run to run: ports, times, counts of what the kernel dropped on the whole machine, ARP. */
function masked(text: string): string {
  return text
    .replace(/:(?!40000)[1-6]\d{4}\b/g, ':PORT_')
    .replace(/\d+ frames · (\d+) flow(s?) · [\d.]+ .s/, 'N frames · $1 flow$2 · TIME')
    .replace(/RTT [\d.]+ .s */g, 'RTT TIME')
    .replace(/([→←]) \d+ *$/gm, '$1 N')
    .replace(/^ {2}dropped by the kernel:.*\n(?: {4}.*\n)*/m, '')
    .replace(/^ {2}\w+: (?:OutDiscards|AttemptFails|.*\bEstabResets).*\n/gm, '')
    .replace(/^Not joined\n(?: .*\n)*\n?/m, '')
    .replace(/^Receipts .*\n(?=\n)/m, '')
}
