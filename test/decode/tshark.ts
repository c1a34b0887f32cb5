/** Asks tshark for the fields of every frame in a file: the witness that the decoders are compared with. */

import { spawnSync } from 'node:child_process'

/** Address lookups, reassembly and guesses off, so that each frame stands for itself; checksums on. */
const OPTIONS = [
  'ip.check_checksum:TRUE',
  'tcp.check_checksum:TRUE',
  'udp.check_checksum:TRUE',
  'ip.defragment:FALSE',
  'ipv6.defragment:FALSE',
  'ip.tso_support:TRUE',
  'tcp.desegment_tcp_streams:FALSE',
  'tcp.analyze_sequence_numbers:FALSE',
]

/** True where tshark can be run. Where CI=true it has to be there. */
export function hasTshark(): boolean {
  const isThere = spawnSync('tshark', ['--version']).status === 0
  if (!isThere && process.env.CI === 'true')
    throw new Error('tshark is missing, and CI=true wants every test run')
  return isThere
}

/** One object a frame: field name → all its values in the order of the layers, outer first. */
export function tsharkFields(file: string, fields: readonly string[]): Map<string, string[]>[] {
  const args = ['-n', '-r', file, '-T', 'fields', '-E', 'occurrence=a', '-E', 'aggregator=\x1f']
  for (const option of OPTIONS) args.push('-o', option)
  for (const field of fields) args.push('-e', field)
  const run = spawnSync('tshark', args, { encoding: 'utf8', maxBuffer: 1 << 28 })
  if (run.status !== 0) throw new Error(`tshark -r ${file}: ${run.stderr}`)
  return run.stdout
    .split('\n')
    .slice(0, -1)
    .map((line) => {
      const values = line.split('\t')
      return new Map(fields.map((field, i) => [field, values[i] ? values[i].split('\x1f') : []]))
    })
}
