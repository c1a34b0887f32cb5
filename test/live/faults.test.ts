/**
 * Faults on a real Docker host, one at a time, each introduced and healed again: the first finding of a live capture names
 * the cause, its receipt the rule, counter or setting; and the capture's file says the same later.
 */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { FindingReport, Report } from '../../src/report/model.ts'
import { analyzed, scratch, startCapture } from './capturing.ts'
import { requireDocker, type SealedHost, startSealedHost } from './docker-host.ts'
import { serveInternet } from './services.ts'

interface Fault {
  name: string
  container: string
  introduce(host: SealedHost): void
  heal(host: SealedHost): void
  /** What runs into it; gives up by itself. */
  traffic(host: SealedHost): void
  code: string
  /** Id of the cause that comes first, and is confirmed. */
  cause: string
  /** In the finding's sentence: what the kernel counted, or how it is set. */
  says: RegExp
}

const OUT = 'http://203.0.113.10/'

/** Runs a program that may fail: that is the fault's effect. */
function tryTo(action: () => unknown): void {
  try {
    action()
  } catch {}
}

/** A container asks the internet for a page, and has 4 s for it. */
function askOut(host: SealedHost): void {
  tryTo(() => host.docker('exec', 'client', 'timeout', '4', 'wget', '-q', '-O', '-', OUT))
}

/** The internet asks for what a port of the host publishes. */
function askIn(port: number): (host: SealedHost) => void {
  return (host) =>
    tryTo(() =>
      host.internet.exec('timeout', '4', 'busybox', 'wget', '-q', '-O', '-', `http://${host.ip}:${port}/`),
    )
}

function inContainer(host: SealedHost, container: string, ...args: string[]): string {
  return host.exec('nsenter', `--net=/proc/${host.pidOf(container)}/ns/net`, ...args)
}

/** The rule goes in with `-I`, and comes out with `-D`. */
function rule(table: string, chain: string, ...text: string[]): Pick<Fault, 'introduce' | 'heal'> {
  const change = (how: string) => (host: SealedHost) =>
    void host.exec('iptables', '-t', table, how, chain, ...text)
  return { introduce: change('-I'), heal: change('-D') }
}

/** Connections that are established, so that none gives way to a new one; as many as the machine's tables may hold. */
function fillConnectionTable(host: SealedHost): void {
  const max = Number(host.exec('sysctl', '-n', 'net.netfilter.nf_conntrack_max'))
  const lines = Array.from(
    { length: max },
    (_, i) =>
      `-I -p tcp -s 10.1.${i >> 16}.1 -d 10.2.0.1 --sport ${i & 0xffff} --dport 80 --state ESTABLISHED -t 300 -u ASSURED,SEEN_REPLY\n`,
  )
  const file = join(mkdtempSync(join(tmpdir(), 'hoptrace-table-')), 'connections')
  writeFileSync(file, lines.join(''))
  // The last few find no room any more.
  tryTo(() => host.exec('conntrack', '-R', file))
  rmSync(dirname(file), { recursive: true })
}

const MASQUERADE = [
  '-t',
  'nat',
  'POSTROUTING',
  '-s',
  '172.17.0.0/16',
  '!',
  '-o',
  'docker0',
  '-j',
  'MASQUERADE',
]

function masquerade(how: '-A' | '-D'): (host: SealedHost) => void {
  const [t, nat, ...rest] = MASQUERADE
  return (host) => void host.exec('iptables', t!, nat!, how, ...rest)
}

const FAULTS: Fault[] = [
  {
    name: 'a rule in DOCKER-USER drops',
    container: 'client',
    ...rule('filter', 'DOCKER-USER', '-p', 'tcp', '--dport', '80', '-j', 'DROP'),
    traffic: askOut,
    code: 'dropped-between-points',
    cause: 'rule',
    says: /rule 1 of DOCKER-USER \(-p tcp .*--dport 80 .*-j DROP\) drops it \(\+\d packets? during the capture\)/,
  },
  {
    name: 'the masquerade rule is deleted',
    container: 'client',
    introduce: masquerade('-D'),
    heal: masquerade('-A'),
    traffic: askOut,
    code: 'snat-missing',
    cause: 'no-snat-rule',
    says: /172\.17\.0\.\d+ left uplink .*no MASQUERADE or SNAT rule of host fits it/,
  },
  {
    name: 'forwarding is off',
    container: 'client',
    introduce: (host) => void host.exec('sysctl', '-qw', 'net.ipv4.ip_forward=0'),
    heal: (host) => void host.exec('sysctl', '-qw', 'net.ipv4.ip_forward=1'),
    traffic: askOut,
    code: 'dropped-between-points',
    cause: 'forwarding-off',
    says: /forwarding is off in host \(net\.ipv4\.ip_forward = 0\)/,
  },
  {
    name: 'nothing listens in the container',
    container: 'idle',
    introduce() {},
    heal() {},
    traffic: askIn(8081),
    code: 'connection-refused',
    cause: 'no-listener',
    says: /nothing listens on tcp port 80 in idle/,
  },
  {
    name: 'the program listens on 127.0.0.1 only',
    container: 'local',
    introduce() {},
    heal() {},
    traffic: askIn(8082),
    code: 'connection-refused',
    cause: 'loopback-listener',
    says: /listens on 127\.0\.0\.1 only.*127\.0\.0\.1:80/,
  },
  {
    name: 'the container is paused',
    container: 'web',
    introduce: (host) => void host.docker('pause', 'web'),
    heal: (host) => void host.docker('unpause', 'web'),
    traffic: askIn(8080),
    code: 'no-reply',
    cause: 'paused',
    says: /did not answer .*: web is paused \(its cgroup is frozen\)/,
  },
  {
    name: 'replies are dropped',
    container: 'client',
    ...rule('filter', 'DOCKER-USER', '-p', 'tcp', '--sport', '80', '-j', 'DROP'),
    traffic: askOut,
    code: 'dropped-between-points',
    cause: 'rule',
    says: /back to 172\.17\.0\.\d+:\d+ reached uplink and never bridge.*rule 1 of DOCKER-USER \(-p tcp .*--sport 80/,
  },
  {
    name: 'reverse path filtering is strict, and the way back is another',
    container: 'web',
    introduce(host) {
      host.exec('sysctl', '-qw', 'net.ipv4.conf.eth0.rp_filter=1')
      host.exec('ip', 'route', 'add', '192.168.78.1/32', 'dev', 'docker0')
    },
    heal(host) {
      host.exec('ip', 'route', 'del', '192.168.78.1/32', 'dev', 'docker0')
      host.exec('sysctl', '-qw', 'net.ipv4.conf.eth0.rp_filter=0')
    },
    traffic: askIn(8080),
    code: 'no-reply',
    cause: 'rp-filter',
    says: /reverse path filtering drops it.*rp_filter = 1 at .*eth0.*IPReversePathFilter \+\d/,
  },
  {
    name: 'a link has an MTU of 1000, and ICMP is blocked',
    container: 'client',
    introduce(host) {
      host.exec('ip', 'link', 'set', 'eth0', 'mtu', '1000')
      host.exec('iptables', '-I', 'OUTPUT', '-p', 'icmp', '--icmp-type', 'fragmentation-needed', '-j', 'DROP')
    },
    heal(host) {
      host.exec('iptables', '-D', 'OUTPUT', '-p', 'icmp', '--icmp-type', 'fragmentation-needed', '-j', 'DROP')
      host.exec('ip', 'link', 'set', 'eth0', 'mtu', '1500')
    },
    traffic: (host) =>
      tryTo(() =>
        host.docker(
          'exec',
          'client',
          'sh',
          '-c',
          'dd if=/dev/zero bs=8000 count=2 | timeout 4 nc 203.0.113.10 80',
        ),
      ),
    code: 'mtu-blackhole',
    cause: 'icmp-blocked',
    says: /MTU 1000 of eth0 in host is too small, and rule 1 of OUTPUT \(-p icmp .*-j DROP\) keeps the ICMP error/,
  },
  {
    name: 'the connection table is full',
    container: 'client',
    introduce: fillConnectionTable,
    heal: (host) => void host.exec('conntrack', '-F'),
    traffic: askOut,
    code: 'conntrack-full',
    cause: 'conntrack-full',
    says: /the connection table of host is full \(nf_conntrack_max = \d+, entries \d+\) \(nf_conntrack drop \+\d+\)/,
  },
  {
    name: 'the gateway is wrong',
    container: 'client',
    introduce: (host) =>
      void inContainer(host, 'client', 'ip', 'route', 'replace', 'default', 'via', '172.17.0.99'),
    heal: (host) =>
      void inContainer(host, 'client', 'ip', 'route', 'replace', 'default', 'via', '172.17.0.1'),
    traffic: askOut,
    code: 'arp-unanswered',
    cause: 'wrong-gateway',
    says: /asked for 172\.17\.0\.99 .*the default route of client leads to 172\.17\.0\.99/,
  },
  {
    name: 'the TTL is 1',
    container: 'client',
    introduce: (host) => void inContainer(host, 'client', 'sysctl', '-qw', 'net.ipv4.ip_default_ttl=1'),
    heal: (host) => void inContainer(host, 'client', 'sysctl', '-qw', 'net.ipv4.ip_default_ttl=64'),
    traffic: askOut,
    code: 'ttl-expired',
    cause: 'default-ttl',
    says: /the sender's default TTL is 1 \(net\.ipv4\.ip_default_ttl = 1 in client\)/,
  },
]

describe.skipIf(!requireDocker())('faults on a Docker host', () => {
  let host: SealedHost

  beforeAll(async () => {
    host = await startSealedHost('faults')
    await serveInternet(host)
    host.docker('run', '-d', '--name', 'client', 'box', 'sleep', '3600')
    host.docker('run', '-d', '--name', 'web', '-p', '8080:80', 'box', 'httpd', '-f', '-h', '/www')
    host.docker('run', '-d', '--name', 'idle', '-p', '8081:80', 'box', 'sleep', '3600')
    host.docker(
      'run',
      '-d',
      '--name',
      'local',
      '-p',
      '8082:80',
      'box',
      'httpd',
      '-f',
      '-p',
      '127.0.0.1:80',
      '-h',
      '/www',
    )
  })
  afterAll(() => host?.stop())

  test.each(FAULTS)('$name', async ({ container, introduce, heal, traffic, code, cause, says }) => {
    const file = scratch()('capture.pcapng')
    introduce(host)
    let output: { stdout: string; stderr: string; code: number }
    try {
      const running = await startCapture(host, ['--container', container, '--json', '-w', file])
      traffic(host)
      await sleep(1500)
      output = await running.end()
    } finally {
      heal(host)
    }
    expect(output.code, output.stderr).toBe(0)
    const report = JSON.parse(output.stdout) as Report
    const expected = expect.objectContaining({
      code,
      summary: expect.stringMatching(says),
      causes: expect.arrayContaining([expect.objectContaining({ id: cause, isConfirmed: true })]),
    })
    const [first] = report.findings as [FindingReport]
    expect(first, JSON.stringify(report.findings, null, 1)).toEqual(expected)
    expect(first.causes![0]!.id).toBe(cause)
    const later = (await analyzed(file)).report.findings[0]
    expect(later).toEqual(expected)
  })
})
