/** `--trace-rules` on a real Docker host: the rules that packets met, and a packet filter that is afterwards as it was. */

import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { RulePath } from '../../src/correlate/joined-flow.ts'
import type { NamespaceReceipts } from '../../src/receipts/model.ts'
import type { FlowReport, Report } from '../../src/report/model.ts'
import { analyzed, PROGRAM, Running, scratch, startCapture, startHoptrace } from './capturing.ts'
import { requireDocker, type SealedHost, startSealedHost } from './docker-host.ts'
import { serveInternet } from './services.ts'

const ANNOUNCED =
  /^hoptrace: --trace-rules: adds the nftables table inet (hoptrace-\d+-[0-9a-f]{8}) until the end/m

describe.skipIf(!requireDocker())('rules traced on a Docker host', () => {
  let host: SealedHost
  let before: string

  beforeAll(async () => {
    host = await startSealedHost('traced')
    await serveInternet(host)
    host.docker('run', '-d', '--name', 'client', 'box', 'sleep', '3600')
    host.docker('run', '-d', '--name', 'web', '-p', '8080:80', 'box', 'httpd', '-f', '-h', '/www')
    before = ruleset()
  })
  afterAll(() => host?.stop())

  /** With handles, and without counters. */
  function ruleset(): string {
    return host.exec('nft', '-a', '-s', 'list', 'ruleset')
  }

  function tables(): string[] {
    return host.exec('nft', 'list', 'tables').match(/hoptrace-\S+/g) ?? []
  }

  function attempt(action: () => unknown): void {
    try {
      action()
    } catch {
      // Nobody answers: that is what the test is about.
    }
  }

  function askOut(port = 80): void {
    attempt(() =>
      host.docker('exec', 'client', 'timeout', '3', 'wget', '-q', '-O', '-', `http://203.0.113.10:${port}/`),
    )
  }

  function askIn(): void {
    attempt(() =>
      host.internet.exec('timeout', '3', 'busybox', 'wget', '-q', '-O', '-', `http://${host.ip}:8080/`),
    )
  }

  async function endOf(running: Running): Promise<Report> {
    await sleep(1000)
    const { stdout, stderr, code } = await running.end()
    expect(code, stderr).toBe(0)
    return JSON.parse(stdout) as Report
  }

  /** The way of a flow's first packet: `table chain`, with the number of the rule that decided, and what nft says of it. */
  function wayOf({ rulePath = [] }: FlowReport, direction: RulePath['direction'] = 'forward'): string[] {
    const path = rulePath.find((one) => one.direction === direction)
    return (path?.steps ?? [])
      .filter(({ verdict, isPolicy }) => /^(accept|drop)$/.test(verdict) && !isPolicy)
      .map(({ table, chain, number, text }) => `${table} ${chain} ${number}: ${text}`)
  }

  test('each flow tells its chains and rules, and so does the file later', async () => {
    const file = scratch()('capture.pcapng')
    const args = ['--container', 'client', '--container', 'web', '--trace-rules', '--json', '-w', file]
    const running = await startCapture(host, args)
    const [, table = ''] = ANNOUNCED.exec(running.stderr) ?? []
    expect(running.stderr.indexOf(table)).toBeLessThan(running.stderr.indexOf('captures on'))
    expect(tables()).toEqual([table])
    askOut()
    askIn()
    const report = await endOf(running)
    expect(ruleset()).toBe(before)
    const flows = ['203.0.113.10', host.ip].map((ip) => report.flows.find(({ server }) => server.ip === ip)!)
    expect(flows.map((flow) => wayOf(flow))).toEqual([
      [
        expect.stringMatching(/^filter FORWARD \d: iifname "docker0" oifname != "docker0" accept$/),
        'nat POSTROUTING 1: oifname != "docker0" ip saddr 172.17.0.0/16 masquerade',
      ],
      [
        expect.stringMatching(/^nat DOCKER \d: .*tcp dport 8080 dnat to 172\.17\.0\.\d:80$/),
        expect.stringMatching(/^filter DOCKER \d: .*tcp dport 80 accept$/),
      ],
    ])
    // The numbers are those of iptables.
    expect(host.exec('iptables', '-t', 'nat', '-S', 'POSTROUTING', '1')).toContain('MASQUERADE')
    const [{ rules }] = report.receipts![0]!.namespaces as [NamespaceReceipts]
    expect(rules.filter(({ table: name }) => name.startsWith('hoptrace'))).toEqual([])
    const later = (await analyzed(file)).report
    expect(later.flows.map(({ rulePath }) => rulePath)).toEqual(report.flows.map(({ rulePath }) => rulePath))
    const text = await startHoptrace(null, ['analyze', file]).ended
    expect(text.stdout).toMatch(/\nChains .*\n {2}#1 SYN {2}nat PREROUTING → filter FORWARD → DOCKER-USER/)
    expect(text.stdout).toContain('masquerade')
  })

  test.each([
    [
      'DROP',
      'dropped-between-points',
      /rule 1 of DOCKER-USER \(-p tcp .*-j DROP\) drops it \(traced to it, \+\d/,
    ],
    [
      'REJECT',
      'connection-refused',
      /rule 1 of DOCKER-USER \(-p tcp .*-j REJECT .*\) rejects it \(traced to it, \+\d/,
    ],
  ])('%s: the rule is named as the cause', async (target, code, summary) => {
    const rule = ['DOCKER-USER', '-p', 'tcp', '--dport', '80', '-j', target]
    host.exec('iptables', '-I', ...rule)
    try {
      const now = ruleset()
      const running = await startCapture(host, ['--container', 'client', '--trace-rules', '--json'])
      askOut()
      const report = await endOf(running)
      expect(wayOf(report.flows[0]!)).toEqual([
        expect.stringMatching(/^filter DOCKER-USER 1: tcp dport 80 (drop|reject)/),
      ])
      expect(report.findings[0]).toMatchObject({ code, summary: expect.stringMatching(summary) })
      expect(ruleset()).toBe(now)
    } finally {
      host.exec('iptables', '-D', ...rule)
    }
  })

  test('rules inside of a container are told as well', async () => {
    const inside = (...words: string[]) =>
      host.exec('nsenter', `--net=/proc/${host.pidOf('web')}/ns/net`, ...words)
    const rule = ['INPUT', '-p', 'tcp', '--dport', '80', '-j', 'DROP']
    inside('iptables', '-I', ...rule)
    try {
      const now = inside('nft', '-a', '-s', 'list', 'ruleset')
      const running = await startCapture(host, ['--container', 'web', '--trace-rules', '--json'])
      askIn()
      const report = await endOf(running)
      const path = report.flows[0]!.rulePath!.find(({ namespace }) => namespace === 'web')
      expect(path!.steps.at(-1)).toMatchObject({
        table: 'filter',
        chain: 'INPUT',
        number: 1,
        verdict: 'drop',
      })
      expect(report.findings[0]!.summary).toMatch(/rule 1 of INPUT of web .*traced to it/)
      expect(inside('nft', '-a', '-s', 'list', 'ruleset')).toBe(now)
    } finally {
      inside('iptables', '-D', ...rule)
    }
  })

  test('after kill -9 nothing is left within 2 s', async () => {
    for (const victim of ['program', 'helper'] as const) {
      const running = await startCapture(host, ['--container', 'client', '--trace-rules'])
      const [, table = ''] = ANNOUNCED.exec(running.stderr) ?? []
      expect(tables()).toEqual([table])
      const pid = Number(table.split('-')[1])
      process.kill(victim === 'program' ? pid : helperOf(pid), 'SIGKILL')
      const deadline = Date.now() + 2000
      while (tables().length > 0 && Date.now() < deadline) await sleep(20)
      expect(ruleset()).toBe(before)
      await running.end('SIGINT')
    }
  })

  test('two runs at once do not meet', async () => {
    const args = ['--container', 'client', '--json', '--trace-rules', '--filter']
    const [http, other] = await Promise.all(
      ['tcp port 80', 'tcp port 81'].map((filter) => startCapture(host, [...args, filter])),
    )
    expect(new Set(tables()).size).toBe(2)
    askOut()
    askOut(81)
    const reports = [await endOf(http!), await endOf(other!)]
    for (const [i, port] of [80, 81].entries()) {
      const { traces = [] } = reports[i]!.receipts![0]!.namespaces[0]!
      expect(traces.length).toBeGreaterThan(0)
      const ports = traces.flatMap(({ forms: [form] }) => [form!.sport, form!.dport])
      expect(ports.filter((one) => one === 80 || one === 81).every((one) => one === port)).toBe(true)
      const chains = new Set(traces.flatMap(({ steps }) => steps.map(({ table }) => table)))
      expect([...chains].sort()).toEqual(['filter', 'nat'])
    }
    expect(ruleset()).toBe(before)
  })

  test('without it, the packet filter is left alone', async () => {
    const monitor = new Running(host.spawn('nft', 'monitor', 'ruleset'))
    await sleep(500)
    const running = await startCapture(host, ['--container', 'client', '--json'])
    askOut()
    const report = await endOf(running)
    expect(report.flows[0]!.rulePath).toBeUndefined()
    expect(monitor.stdout).toBe('')
    // It would have noticed.
    await endOf(await startCapture(host, ['--container', 'client', '--json', '--trace-rules']))
    await monitor.until(({ stdout }) => stdout.includes('create table inet hoptrace-'))
    monitor.child.kill('SIGKILL')
  })

  test('rules of iptables-legacy are said not to be traceable', async () => {
    const inside = (...words: string[]) => host.exec('unshare', '--net', 'sh', '-c', words.join(' '))
    const out = inside(
      'ip link set lo up; iptables-legacy -A INPUT -j ACCEPT;',
      `${process.execPath} ${PROGRAM} capture --point lo=lo --trace-rules --bpf 'host 127.0.0.1' --duration 300ms --json 2>&1; true`,
    )
    expect(out).toContain('the rules are those of iptables-legacy, which nftables can’t trace')
  })

  test('what contradicts it, or says nothing, is refused', async () => {
    for (const [args, message] of [
      [['--container', 'client', '--no-receipts'], 'leave out --no-receipts'],
      [['--point', 'x=exec:true'], 'about the rules of this host'],
      [['--point', 'x=eth0'], 'nothing says whose packets to trace'],
    ] as const) {
      const { stderr, code } = await startHoptrace(host, ['capture', '--trace-rules', ...args]).ended
      expect(stderr).toContain(message)
      expect(code).toBe(2)
    }
    expect(ruleset()).toBe(before)
  })
})

/** The child that keeps root for the receipts. */
function helperOf(pid: number): number {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number)
  return children.find((child) =>
    readFileSync(`/proc/${child}/cmdline`, 'utf8').includes('receipts-helper-program'),
  )!
}
