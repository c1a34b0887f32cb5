/** Servers of the stations: started so that they outlive the command, and found again by their mark. */

import { fileURLToPath } from 'node:url'
import { HoptraceError } from '../errors.ts'
import { serveIn } from './engine-containers.ts'
import { commandLineOf, endServers, isRunning, serversOf } from './processes.ts'
import { SERVICE_MARK, spawnAt } from './programs.ts'
import { DNS_PORT } from './rules.ts'
import { hasEngine, isContainer, type LabNames, STATIONS, type Station } from './stations.ts'

/** The servers' program, which a container gets from the machine. */
export const PROGRAM = fileURLToPath(new URL('./station-program.js', import.meta.url))
const PATIENCE_MS = 20_000

/** What each station serves when all is well, in the words of `station-program`. */
const SERVICES: Partial<Record<Station, readonly string[]>> = {
  container1: ['http=0.0.0.0:80'],
  container2: ['http=0.0.0.0:80'],
  container3: ['http=0.0.0.0:80', `docker-dns=127.0.0.11:${DNS_PORT}`],
  overlay2: ['http=0.0.0.0:80'],
  host: [`proxy=0.0.0.0:8081,${STATIONS.container2.ip}:80`],
  internet: ['http=203.0.113.10:80', 'echo=203.0.113.10:7', 'dns=203.0.113.10:53'],
}

/** What an engine serves by itself, where the lab has one. */
const ENGINE_SERVICE = /^(?:docker-dns|proxy)=/

function servicesOf(names: LabNames, station: Station): string[] {
  const services = SERVICES[station] ?? []
  return services.filter((service) => !(hasEngine(names) && ENGINE_SERVICE.test(service)))
}

/** Starts the servers that belong to the stations, in place of those that are missing, stopped or serve something else. */
export async function settleServices(names: LabNames): Promise<void> {
  const stations = Object.keys(SERVICES) as Station[]
  const wrong = stations.filter((station) => !isServing(names, station))
  await Promise.all(wrong.map((station) => replaceService(names, station, servicesOf(names, station))))
}

function isServing(names: LabNames, station: Station): boolean {
  const pids = serversOf(names, station)
  const words = servicesOf(names, station).join(' ')
  if (words === '') return pids.length === 0
  return pids.length === 1 && isRunning(pids[0]!) && commandLineOf(pids[0]!).endsWith(` ${station} ${words}`)
}

/** Starts a station's server, in place of one that runs. */
export async function replaceService(
  names: LabNames,
  station: Station,
  services: readonly string[],
): Promise<void> {
  endServers(names, station)
  if (services.length === 0) return
  if (hasEngine(names) && isContainer(station)) await serveIn(names, station, services)
  else await startService(names, station, services)
}

/** Resolves when it listens. */
function startService(names: LabNames, station: Station, services: readonly string[]): Promise<void> {
  const child = spawnAt(names, station, [process.execPath, PROGRAM, names.folder, station, ...services], {
    cwd: '/',
    // A group of its own: Ctrl-C is for the command.
    detached: true,
    env: { [SERVICE_MARK]: station },
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  return new Promise((resolve, reject) => {
    const fail = () => reject(new HoptraceError(`the lab: the server of ${station} did not start`))
    const timer = setTimeout(fail, PATIENCE_MS)
    const settle = (then: () => void) => {
      clearTimeout(timer)
      child.removeAllListeners()
      child.stdout!.destroy()
      child.unref()
      then()
    }
    child.once('error', () => settle(fail))
    child.once('exit', () => settle(fail))
    child.stdout!.once('data', () => settle(resolve))
  })
}
