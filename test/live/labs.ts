/** Labs for tests: made by the real program, each test has one to itself; and what they might leave behind. */

import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import type { Fault } from '../../src/lab/faults.ts'
import type { FindingReport, Report } from '../../src/report/model.ts'
import { hoptrace, type Ran } from '../commands/program.ts'

/** A lab's name that no other test run on this machine has. */
export function labName(name: string): string {
  return `t${process.pid}-${name}`
}

/** Runs `hoptrace lab …` and fails the test where it does not end with this code. */
export async function lab(code: number, ...words: string[]): Promise<Ran> {
  const ran = await hoptrace('lab', ...words)
  expect(ran.code, `lab ${words.join(' ')}: ${ran.stderr}${ran.stdout.slice(-3000)}`).toBe(code)
  return ran
}

/** What the first finding of each fault has to say. */
const FOUND: Record<string, { code: string; says: RegExp }> = {
  'not-listening': { code: 'connection-refused', says: /nothing listens on tcp port 80 in container1/ },
  'loopback-only': { code: 'connection-refused', says: /listens on 127\.0\.0\.1 only/ },
  'masquerade-deleted': { code: 'snat-missing', says: /no MASQUERADE or SNAT rule of host fits it/ },
  'forwarding-off': { code: 'dropped-between-points', says: /net\.ipv4\.ip_forward = 0/ },
  'user-rule-drops': { code: 'dropped-between-points', says: /rule 1 of DOCKER-USER \(-p tcp .*--dport 80/ },
  'replies-dropped': { code: 'dropped-between-points', says: /rule 1 of DOCKER-USER \(-p tcp .*--sport 80/ },
  'wrong-gateway': { code: 'arp-unanswered', says: /default route of container1 leads to 172\.17\.0\.99/ },
  'ttl-1': { code: 'ttl-expired', says: /net\.ipv4\.ip_default_ttl = 1 in container1/ },
  'mtu-blackhole': { code: 'mtu-blackhole', says: /MTU 1000 of eth0 in host.*rule 1 of OUTPUT/ },
  'rp-filter': { code: 'no-reply', says: /reverse path filtering drops it.*rp_filter = 1 at eth0/ },
  'server-stopped': {
    code: 'no-reply',
    says: /accepted the connection.*its program (never answered|did not answer)/,
  },
  'wrong-target': { code: 'connection-refused', says: /nothing listens on tcp port 8000 in container1/ },
}
/** Runs a scenario in a lab where nothing is broken: it comes out as it should. */
export async function expectScenario(one: string, name: string): Promise<void> {
  const { stdout, stderr } = await lab(0, 'run', name, '--json', '--name', one)
  expect(stderr).toBe('')
  const { expectations = [], findings } = JSON.parse(stdout) as Report
  expect(expectations.filter(({ holds }) => !holds)).toEqual([])
  expect(expectations.length).toBeGreaterThan(1)
  // That a TTL expires is what that scenario is about.
  const errors = findings.filter(({ severity, code }) => severity === 'error' && code !== 'ttl-expired')
  expect(errors).toEqual([])
}

/** Breaks a lab in secret, and heals it: the first finding in between names the fault. */
export async function expectFault(one: string, { name, scenario }: Fault): Promise<void> {
  const broken = await lab(0, 'break', name, '--secret', '--name', one)
  expect(broken.stdout).not.toContain(name)
  // There is something that does not come out.
  const { stdout } = await lab(1, 'run', scenario, '--json', '--name', one)
  // Were it not healed, the next test in this lab would find it as well.
  await lab(0, 'fix', '--name', one)
  const [first] = (JSON.parse(stdout) as Report).findings as [FindingReport]
  expect(first.code, first.summary).toBe(FOUND[name]!.code)
  expect(first.summary).toMatch(FOUND[name]!.says)
}

/** Lends labs to tests that run at the same time, one each. */
export class LabPool {
  readonly names: readonly string[]
  readonly #options: readonly string[]
  readonly #free: string[]
  readonly #waiting: ((name: string) => void)[] = []

  /** `options` are those of `lab up`. */
  constructor(names: readonly string[], ...options: readonly string[]) {
    this.names = names
    this.#options = options
    this.#free = [...names]
  }

  async up(): Promise<void> {
    await Promise.all(this.names.map((name) => lab(0, 'up', '--name', name, ...this.#options)))
  }

  async down(): Promise<void> {
    await Promise.all(this.names.map((name) => lab(0, 'down', '--name', name)))
  }

  async use(work: (name: string) => Promise<void>): Promise<void> {
    const name = this.#free.pop() ?? (await new Promise<string>((resolve) => this.#waiting.push(resolve)))
    try {
      await work(name)
    } finally {
      const next = this.#waiting.shift()
      if (next) next(name)
      else this.#free.push(name)
    }
  }
}

/** All that there is of labs of this name on the machine: namespaces, files, control groups, mounts, processes. */
export function tracesOf(name: string): string[] {
  const base = `hoptrace-lab-${name}`
  const files = ['/run', '/run/netns'].flatMap((folder) =>
    readdirSync(folder).flatMap((file) => (file.startsWith(base) ? `${folder}/${file}` : [])),
  )
  const processes = readdirSync('/proc').flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return []
    try {
      return readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`HOPTRACE_LAB=${base}\0`)
        ? `process ${pid}: ${readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ')}`
        : []
    } catch {
      return []
    }
  })
  return [...files, ...cgroupsOf(base), ...mountsOf(base), ...processes]
}

/** Id of a process of the lab, by what `tracesOf` tells of it; null where there is none. */
export function processOf(name: string, words: string): number | null {
  const trace = tracesOf(name).find((line) => line.startsWith('process ') && line.includes(words))
  return trace === undefined ? null : Number.parseInt(trace.slice('process '.length), 10)
}

function cgroupsOf(base: string): string[] {
  const root = '/sys/fs/cgroup'
  const hierarchies = existsSync(root) ? ['', ...readdirSync(root)] : []
  return hierarchies.map((name) => join(root, name, base)).filter((folder) => existsSync(folder))
}

/** Mount points that the machine itself sees. */
export function mountsOf(base: string): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .flatMap((line) => {
      const path = line.split(' ')[4] ?? ''
      return path.includes(base) ? `mount ${path}` : []
    })
}

/** Interfaces, routes and rules of the machine itself, and its settings that a lab also sets. */
export function machine(): string {
  const run = (...words: string[]) => execFileSync(words[0]!, words.slice(1), { encoding: 'utf8' })
  const links = JSON.parse(run('ip', '-j', 'address')) as Record<string, unknown>[]
  return JSON.stringify([
    links.map(({ ifname, mtu, flags, addr_info }) => ({ ifname, mtu, flags, addr_info })),
    run('ip', 'route', 'show', 'table', 'all'),
    run('nft', 'list', 'ruleset'),
    readFileSync('/proc/sys/net/ipv4/ip_forward', 'utf8'),
    readFileSync('/proc/sys/net/ipv4/conf/all/rp_filter', 'utf8'),
    readFileSync('/proc/sys/kernel/hostname', 'utf8'),
    readlinkSync('/proc/self/ns/net'),
  ])
}
