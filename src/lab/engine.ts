/**
 * The lab's own Docker engine: dockerd and containerd in the network of `host`, and in a mount namespace in which /run is a
 * folder of the lab's. So they meet no engine of the machine's, and their mounts go with their processes.
 */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { displayText } from '../capture/display-text.ts'
import { HoptraceError } from '../errors.ts'
import { engineVersion } from './engine-api.ts'
import { attempt, commandLineOf, isRunning } from './processes.ts'
import { spawnAt } from './programs.ts'
import { cgroupOf, engineFolder, type LabNames, STATIONS } from './stations.ts'

const START_TIMEOUT_MS = 60_000
const LOOK_EVERY_MS = 50
const MAX_SAID_CHARACTERS = 500

/** Umounts on the machine get in, mounts of the engine do not get out. */
const PRIVATE_MOUNTS = ['unshare', '--mount', '--propagation', 'slave']

/**
 * `$1` is the engine's folder, what follows are arguments of dockerd. Some versions write into /etc/docker, and make it where it
 * is not there: into a layer of the engine's then. dockerd goes on without containerd, and can do nothing: it ends with it.
 */
const START = `
engine=$1
shift
exec >"$engine/dockerd.log" 2>&1
if [ -d /etc/docker ]; then mount --bind "$engine/etc" /etc/docker
else mount -t overlay -o "lowerdir=/etc,upperdir=$engine/etc,workdir=$engine/etc.work" overlay /etc
fi || exit
mount --bind "$engine" /run || exit
{ containerd --config /run/containerd.toml --log-level warn; kill -9 $$; } >/run/containerd.log 2>&1 &
exec dockerd "$@"
`

const CONTAINERD = `version = 2
root = "/run/images"
state = "/run/tasks"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "/run/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
path = "/run/opt"
`

/** Starts the engine. Resolves when it answers; rejects with a `HoptraceError` in its own words where it ends. */
export async function startEngine(names: LabNames): Promise<void> {
  const folder = engineFolder(names)
  for (const name of ['etc', 'etc.work']) mkdirSync(`${folder}/${name}`, { recursive: true, mode: 0o755 })
  writeFileSync(`${folder}/etc/daemon.json`, '{}')
  writeFileSync(`${folder}/containerd.toml`, CONTAINERD)
  const words = [...PRIVATE_MOUNTS, 'sh', '-c', START, 'sh', folder, ...daemonWords(names)]
  const child = spawnAt(names, 'host', words, { cwd: '/', detached: true, stdio: 'ignore' })
  let hasEnded = false
  const end = () => {
    hasEnded = true
  }
  child.on('exit', end).on('error', end)
  child.unref()
  const deadline = Date.now() + START_TIMEOUT_MS
  while ((await engineVersion(names)) === null) {
    if (hasEnded || Date.now() > deadline) throw failedStart(folder, hasEnded)
    await sleep(LOOK_EVERY_MS)
  }
}

/** Whether its process is there. */
export function isEngineRunning(names: LabNames): boolean {
  const pid = Number(attempt(() => readFileSync(`${engineFolder(names)}/docker.pid`, 'utf8')) ?? 0)
  return pid > 0 && isRunning(pid) && commandLineOf(pid).startsWith('dockerd ')
}

/** Paths are those that the engine sees. What is not said is as Docker has it by default. */
function daemonWords(names: LabNames): string[] {
  return [
    ...['--config-file', '/run/etc/daemon.json', '--pidfile', '/run/docker.pid', '--log-level', 'warn'],
    ...['--host', 'unix:///run/docker.sock', '--group', 'root', '--containerd', '/run/containerd.sock'],
    ...['--data-root', '/run/data', '--exec-root', '/run/docker'],
    // vfs works on every file system, and the image is empty; cgroupfs needs no systemd.
    ...['--storage-driver', 'vfs', '--exec-opt', 'native.cgroupdriver=cgroupfs'],
    ...['--cgroup-parent', cgroupOf(names)],
    ...['--bip', '172.17.0.1/16', '--dns', STATIONS.internet.ip],
  ]
}

function failedStart(folder: string, hasEnded: boolean): HoptraceError {
  const said = ['dockerd', 'containerd'].flatMap((program) => {
    const lines = (attempt(() => readFileSync(`${folder}/${program}.log`, 'utf8')) ?? '').trim().split('\n')
    return lines.at(-1) || []
  })
  const what = hasEnded ? 'it ended at its start' : `it did not answer within ${START_TIMEOUT_MS / 1000} s`
  return new HoptraceError(
    `the lab's engine: ${[what, ...said.map((line) => displayText(line, MAX_SAID_CHARACTERS))].join('; ')}`,
  )
}
