/** Control groups of a lab with an engine: those of its containers are below one of the lab's name. */

import { existsSync, readdirSync, rmdirSync } from 'node:fs'
import { attempt, pause } from './processes.ts'
import { cgroupOf, type LabNames } from './stations.ts'

const ROOT = '/sys/fs/cgroup'
const TRIES = 100
const PAUSE_MS = 10

/** Removes those of all hierarchies (cgroup v1 has one for each controller). Their processes have to be gone. */
export function removeCgroups(names: LabNames): void {
  const hierarchies = ['', ...(attempt(() => readdirSync(ROOT)) ?? []).map((name) => `/${name}`)]
  const tops = hierarchies.map((hierarchy) => ROOT + hierarchy + cgroupOf(names))
  // The kernel takes a moment to let go of processes that were killed.
  for (let tries = 0; tries < TRIES && tops.some((top) => existsSync(top)); tries++) {
    if (tries > 0) pause(PAUSE_MS)
    tops.forEach(removeTree)
  }
}

/** What is still in use stays. */
function removeTree(folder: string): void {
  for (const entry of attempt(() => readdirSync(folder, { withFileTypes: true })) ?? [])
    if (entry.isDirectory()) removeTree(`${folder}/${entry.name}`)
  attempt(() => rmdirSync(folder))
}
