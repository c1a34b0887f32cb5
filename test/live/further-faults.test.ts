/** Further faults on a real Docker host: how the kernel refuses, whom it asks in vain, and what two hosts or a slow reader look like. */

import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import type { FindingReport } from '../../src/report/model.ts'
import { analyzed, Running, scratch, startCapture } from './capturing.ts'
import { requireDocker, type SealedHost, startSealedHost } from './docker-host.ts'
import { serveInternet } from './services.ts'

const OUT = 'http://203.0.113.10/'

interface Fault {
  name: string
  container: string
  /** Commands in the host's namespace, and those that heal. */
  introduce: string
  heal: string
  traffic(host: SealedHost): unknown
  code: string
  /** Id of the first cause, with `!` where it is confirmed; nothing where the finding has none. */
  cause: string | null
  says: RegExp
}

/** Runs a program that may fail: that is the fault's effect. */
function tryTo(action: () => unknown): void {
  try {
    action()
  } catch {}
}

function askOut(host: SealedHost): void {
  tryTo(() => host.docker('exec', 'client', 'timeout', '3', 'wget', '-q', '-O', '-', OUT))
}

function askIn(port: number): (host: SealedHost) => void {
  return ({ internet, ip }) =>
    tryTo(() => internet.exec('timeout', '5', 'busybox', 'wget', '-q', '-O', '-', `http://${ip}:${port}/`))
}

/** Both the container and the other one that has its address answer, again and again. */
function resolveAgain(host: SealedHost): void {
  const ip = host.docker('inspect', '-f', '{{.NetworkSettings.IPAddress}}', 'web')
  for (let time = 0; time < 3; time++) {
    host.exec('ip', 'neigh', 'flush', 'to', ip)
    tryTo(() => host.exec('busybox', 'ping', '-c', '1', '-W', '1', ip))
  }
}

/** The internet sends more than the buffers of a program take that does not read. */
async function sendToSleeper(host: SealedHost): Promise<void> {
  const sender = `require('node:net').connect(8084, '${host.ip}').on('error', () => {}).write(Buffer.alloc(2e7))
    setTimeout(() => process.exit(), 3000)`
  await new Running(host.internet.spawn(process.execPath, '-e', sender)).ended
}

const FAULTS: Fault[] = [
  {
    name: 'a rule rejects with a RST',
    container: 'client',
    introduce: 'iptables -I DOCKER-USER -p tcp --dport 80 -j REJECT --reject-with tcp-reset',
    heal: 'iptables -D DOCKER-USER -p tcp --dport 80 -j REJECT --reject-with tcp-reset',
    traffic: askOut,
    code: 'connection-refused',
    cause: 'rule!',
    says: /refused: 203\.0\.113\.10 answered with RST, first seen at \w+: rule 1 of DOCKER-USER .* rejects it/,
  },
  {
    name: 'a rule rejects with ICMP',
    container: 'client',
    introduce: 'iptables -I DOCKER-USER -p tcp --dport 80 -j REJECT',
    heal: 'iptables -D DOCKER-USER -p tcp --dport 80 -j REJECT',
    traffic: askOut,
    code: 'connection-refused',
    cause: 'rule!',
    says: /refused: 172\.17\.0\.1 answered ICMP port unreachable: rule 1 of DOCKER-USER .* rejects it/,
  },
  {
    name: 'a port is published on 127.0.0.1 only',
    container: 'inner',
    introduce: 'true',
    heal: 'true',
    traffic: askIn(8083),
    code: 'dnat-missing',
    cause: 'published-elsewhere!',
    says: /:8083 at uplink was not translated to a container, and refused: the port is published on another address only: .*-d 127\.0\.0\.1/,
  },
  {
    name: 'the host drops what is for itself',
    container: 'client',
    introduce: 'iptables -I INPUT -p tcp --dport 8090 -j DROP',
    heal: 'iptables -D INPUT -p tcp --dport 8090 -j DROP',
    traffic: (host) =>
      tryTo(() =>
        host.docker('exec', 'client', 'timeout', '3', 'wget', '-q', '-O', '-', `http://${host.ip}:8090/`),
      ),
    code: 'no-reply',
    cause: 'rule!',
    // The uplink is not on the way to the host itself.
    says: /reached bridge and nothing came back: rule 1 of INPUT \(-p tcp .*--dport 8090 -j DROP\) drops it/,
  },
  {
    name: 'a port leads to an address that nobody has',
    container: 'web',
    introduce:
      'iptables -t nat -I PREROUTING -p tcp --dport 8085 -j DNAT --to-destination 172.17.0.77:80; iptables -I DOCKER-USER -d 172.17.0.77 -j ACCEPT',
    heal: 'iptables -t nat -D PREROUTING -p tcp --dport 8085 -j DNAT --to-destination 172.17.0.77:80; iptables -D DOCKER-USER -d 172.17.0.77 -j ACCEPT',
    traffic: askIn(8085),
    code: 'arp-unanswered',
    cause: 'host-down',
    says: /^172\.17\.0\.1 asked for 172\.17\.0\.77 in \d+ ARP requests .* nobody answered/,
  },
  {
    name: 'the same: the host says so by ICMP',
    container: 'web',
    introduce:
      'ip neigh flush dev docker0; iptables -t nat -I PREROUTING -p tcp --dport 8085 -j DNAT --to-destination 172.17.0.78:80; iptables -I DOCKER-USER -d 172.17.0.78 -j ACCEPT',
    heal: 'iptables -t nat -D PREROUTING -p tcp --dport 8085 -j DNAT --to-destination 172.17.0.78:80; iptables -D DOCKER-USER -d 172.17.0.78 -j ACCEPT',
    traffic: askIn(8085),
    code: 'connection-refused',
    cause: 'neighbour-silent!',
    says: /answered ICMP host unreachable: the next hop 172\.17\.0\.78 does not answer at docker0 of host/,
  },
  {
    name: 'two containers have the same address',
    container: 'web',
    introduce: 'true',
    heal: 'true',
    traffic(host) {
      const enter = ['nsenter', `--net=/proc/${host.pidOf('client')}/ns/net`, 'ip', 'address']
      const ip = host.docker('inspect', '-f', '{{.NetworkSettings.IPAddress}}', 'web')
      host.exec(...enter, 'add', `${ip}/16`, 'dev', 'eth0')
      resolveAgain(host)
      host.exec(...enter, 'del', `${ip}/16`, 'dev', 'eth0')
      host.exec('ip', 'neigh', 'flush', 'to', ip)
    },
    code: 'duplicate-address',
    cause: 'duplicate-address',
    says: /^([\da-f:]{17}) and ([\da-f:]{17}) both claim 172\.17\.0\.\d+ at \w+: two hosts have this address$/,
  },
  {
    name: 'a program does not read',
    container: 'sleeper',
    introduce: 'true',
    heal: 'true',
    traffic: sendToSleeper,
    code: 'zero-window',
    cause: null,
    says: /^172\.17\.0\.\d+ had no room for more data \(window 0 in \d+ packets?\)|^192\.168\.78\.100 had no room/,
  },
  {
    name: 'the MSS is clamped',
    container: 'client',
    introduce: 'iptables -t mangle -I FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss 1200',
    heal: 'iptables -t mangle -D FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss 1200',
    traffic: askOut,
    code: 'mss-clamped',
    cause: null,
    says: /^the client's MSS 1460 became 1200 between bridge and uplink$/,
  },
]

function firstCause({ causes = [] }: FindingReport): string | null {
  const [first] = causes
  return first ? `${first.id}${first.isConfirmed ? '!' : ''}` : null
}

describe.skipIf(!requireDocker())('further faults on a Docker host', () => {
  let host: SealedHost

  beforeAll(async () => {
    host = await startSealedHost('further')
    await serveInternet(host)
    const run = (name: string, ...args: string[]) => host.docker('run', '-d', '--name', name, ...args)
    run('client', 'box', 'sleep', '3600')
    run('web', '-p', '8080:80', 'box', 'httpd', '-f', '-h', '/www')
    run('inner', '-p', '127.0.0.1:8083:80', 'box', 'httpd', '-f', '-h', '/www')
    run('sleeper', '-p', '8084:80', 'box', 'nc', '-l', '-p', '80', '-e', 'sleep', '60')
    host.spawn('busybox', 'httpd', '-f', '-p', '8090', '-h', '/')
  })
  afterAll(() => host?.stop())

  test.each(FAULTS)('$name', async ({ container, introduce, heal, traffic, code, cause, says }) => {
    const file = scratch()('capture.pcapng')
    host.exec('sh', '-c', introduce)
    onTestFinished(() => void host.exec('sh', '-c', heal))
    const running = await startCapture(host, ['--container', container, '-w', file])
    await traffic(host)
    await sleep(1200)
    const ended = await running.end()
    expect(ended.code, ended.stderr).toBe(0)
    const { findings } = (await analyzed(file)).report
    const found = findings.find((it) => it.code === code && says.test(it.summary))
    expect(found, JSON.stringify(findings, null, 1)).toBeDefined()
    expect(firstCause(found!)).toBe(cause)
    // Only what the fault itself brings about is told as an error.
    const errors = new Set(findings.filter(({ severity }) => severity === 'error').map((it) => it.code))
    if (found!.severity === 'error') expect(errors).toContain(code)
    else expect([...errors]).toEqual([])
  })
})
