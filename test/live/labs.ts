/** Labs for tests: made by the real program, each test has one to itself; and what they might leave behind. */

import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { expect } from 'vitest'
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

/** Lends labs to tests that run at the same time, one each. */
export class LabPool {
  readonly names: readonly string[]
  readonly #free: string[]
  readonly #waiting: ((name: string) => void)[] = []

  constructor(names: readonly string[]) {
    this.names = names
    this.#free = [...names]
  }

  async up(): Promise<void> {
    await Promise.all(this.names.map((name) => lab(0, 'up', '--name', name)))
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

/** All that there is of labs of this name on the machine: namespaces, files, processes. */
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
  return [...files, ...processes]
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
