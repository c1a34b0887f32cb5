/** Runs the real program, as a user's shell does, and captures that are damaged in one way each. */

import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { join as bytes, fields } from '../capture/bytes.ts'

const ROOT = join(import.meta.dirname, '../..')
const PROGRAM = join(ROOT, 'bin/hoptrace.js')
const TIMEOUT_MS = 120_000

export interface Ran {
  stdout: string
  stderr: string
  /** -1 where a signal ended it. */
  code: number
}

/** Runs a bash command line in the project's folder; `hoptrace` in it is the program. */
export function shell(command: string, env: Record<string, string> = {}, cwd = ROOT): Promise<Ran> {
  const script = `hoptrace() { ${quote(process.execPath)} ${quote(PROGRAM)} "$@"; }; ${command}`
  return ran('bash', ['-c', script], env, cwd)
}

/** Runs the program with these arguments and an empty standard input. */
export function hoptrace(...args: string[]): Promise<Ran> {
  return ran(process.execPath, [PROGRAM, ...args])
}

function ran(file: string, args: string[], env: Record<string, string> = {}, cwd = ROOT): Promise<Ran> {
  // What the caller's terminal is like must not matter.
  const { NO_COLOR, FORCE_COLOR, COLUMNS, ...clean } = process.env
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, {
      cwd,
      env: { ...clean, TERM: 'xterm-256color', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: TIMEOUT_MS,
    })
    const result: Ran = { stdout: '', stderr: '', code: -1 }
    for (const name of ['stdout', 'stderr'] as const)
      child[name].setEncoding('utf8').on('data', (text) => {
        result[name] += text
      })
    child.on('error', reject)
    child.on('close', (code) => resolve({ ...result, code: code ?? -1 }))
  })
}

/** A word that bash takes as it is. */
export function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`
}

/** One line on stderr that holds `message`, nothing on stdout, exit code 2. */
export function expectRefused({ stdout, stderr, code }: Ran, message: string | RegExp): void {
  expect(stderr).toMatch(/^hoptrace: [^\n]+\n$/)
  expect(stderr).toMatch(message)
  expect(stdout).toBe('')
  expect(code).toBe(2)
}

/** Written apart from the code under test: what must never reach a terminal. */
const DANGEROUS =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  /[\x00-\x09\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/

/** Nothing in `text` controls a terminal or hides from the eye. */
export function expectHarmless(text: string): void {
  const found = DANGEROUS.exec(text)
  expect(found && JSON.stringify(text.slice(Math.max(0, found.index - 60), found.index + 60))).toBeNull()
}

/** The folders of `captures/`. */
export const SCENARIOS = readdirSync(join(ROOT, 'captures'), { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => entry.name)

/** Header and records of a little-endian pcap file, each as bytes. */
export function recordsOf(file: Uint8Array): { header: Uint8Array; records: Uint8Array[] } {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength)
  const records: Uint8Array[] = []
  for (let at = 24; at < file.length; ) {
    const end = at + 16 + view.getUint32(at + 8, true)
    records.push(file.subarray(at, end))
    at = end
  }
  return { header: file.subarray(0, 24), records }
}

/** The file with one record's header fields set: times and lengths are at 0, 4, 8 and 12. */
export function withRecordField(
  file: Uint8Array,
  index: number,
  offset: number,
  change: (value: number) => number,
): Uint8Array {
  const { header, records } = recordsOf(file)
  const record = records[index].slice()
  const value = new DataView(record.buffer).getUint32(offset, true)
  record.set(fields(true, [4, change(value) >>> 0]), offset)
  return bytes(header, ...records.slice(0, index), record, ...records.slice(index + 1))
}
