/** Runs the system's own tools (`ip`, `nsenter`, `iptables-save`, …), never through a shell, bounded in time and output. */

import { execFile } from 'node:child_process'

const TIMEOUT_MS = 10_000
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024
/** How many run at the same time. */
const LANES = 8

export type Outcome =
  | { readonly ok: true; readonly stdout: string; readonly stderr: string }
  /** `missing`: the program is not installed. */
  | { readonly ok: false; readonly missing: boolean; readonly why: string }

/** So that what they say can be read, and that they are found. */
export const TOOLS_ENVIRONMENT = {
  ...process.env,
  LC_ALL: 'C',
  // Where these tools lie is not on every user's PATH.
  PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin:/usr/bin:/bin`,
}

let running = 0
const waiting: (() => void)[] = []

/** Runs a program in the network namespace at `netnsPath`, or in the own one where that is null. Never rejects. */
export function runIn(netnsPath: string | null, program: string, ...args: string[]): Promise<Outcome> {
  return netnsPath === null ? run(program, args) : run('nsenter', [`--net=${netnsPath}`, program, ...args])
}

async function run(program: string, args: string[]): Promise<Outcome> {
  if (running >= LANES) await new Promise<void>((resolve) => waiting.push(resolve))
  running++
  try {
    return await new Promise<Outcome>((resolve) => {
      const options = {
        timeout: TIMEOUT_MS,
        maxBuffer: MAX_OUTPUT_BYTES,
        env: TOOLS_ENVIRONMENT,
        encoding: 'utf8',
      } as const
      execFile(program, args, options, (error, stdout, stderr) => {
        if (!error) resolve({ ok: true, stdout, stderr })
        else
          resolve({
            ok: false,
            missing: isMissing(error, stderr),
            why: stderr.trim().split('\n')[0] || error.message,
          })
      })
    })
  } finally {
    running--
    waiting.shift()?.()
  }
}

function isMissing(error: Error, stderr: string): boolean {
  return (
    (error as NodeJS.ErrnoException).code === 'ENOENT' ||
    /^nsenter: failed to execute .*No such file/.test(stderr)
  )
}
