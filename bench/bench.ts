/**
 * `npm run bench`: hoptrace against the tools that people have, on the same files, in ratios. The aims stand beside the
 * figures and are never asserted; the answer's rightness is, before any figure is printed.
 *
 *   npm run bench -- [--frames N] [--flows N] [--runs N] [--seed N] [--long]
 *   npm run bench -- --flows-memory [--flows N]
 *   npm run bench -- --live [--runs N] [--seconds N]
 *   npm run bench -- --page [--runs N] [--seed N]
 *
 * `--long` measures files that are 10 × longer, too: memory must not grow with them. The files go into a temporary
 * folder (TMPDIR says where; 1.1 GB, with --long 11 GB) that is removed at the end. `--flows-memory` measures 1,000,000
 * flows that are open at once instead, `--live` capturing, `--page` the HTML report in a browser.
 */

import { closeSync, mkdtempSync, openSync, readSync, rmSync, statfsSync } from 'node:fs'
import { availableParallelism, cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Report } from '../src/report/model.ts'
import { compare } from './check.ts'
import { generate, POINTS, type TrueTranslation } from './generate.ts'
import { benchLive } from './live.ts'
import { generateManyFlows } from './many-flows.ts'
import { alternate, type Command, isInstalled, type Measured, measure, node } from './measure.ts'
import { benchPage } from './page.ts'

const ROOT = join(import.meta.dirname, '../../..')
const HOPTRACE = join(ROOT, 'bin/hoptrace.js')
const SMALL = join(ROOT, 'captures/outbound-masquerade')

const { values: options } = parseArgs({
  options: {
    frames: { type: 'string', default: '1000000' },
    flows: { type: 'string' },
    'flows-memory': { type: 'boolean', default: false },
    runs: { type: 'string', default: '3' },
    seed: { type: 'string', default: '1' },
    long: { type: 'boolean', default: false },
    live: { type: 'boolean', default: false },
    page: { type: 'boolean', default: false },
    seconds: { type: 'string', default: '8' },
  },
})

/** Ratios to print, with the aim where there is one. */
const AIMS: [command: string, against: string, aim: string][] = [
  ['hoptrace', 'mergecap', 'at most 1.0'],
  ['hoptrace', 'capinfos', ''],
  ['hoptrace', 'tcpdump', ''],
  ['hoptrace', 'tshark', ''],
  ['reading', 'tcpdump', 'at most 0.1'],
]

const folder = mkdtempSync(join(tmpdir(), 'hoptrace-bench-'))
const remove = () => rmSync(folder, { recursive: true, force: true })
process.on('exit', remove)
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130))

try {
  sayMachine()
  if (options.live) await benchLive({ runs: Number(options.runs), seconds: Number(options.seconds), folder })
  else if (options.page)
    await benchPage({
      folder,
      hoptrace: HOPTRACE,
      runs: Number(options.runs),
      seed: Number(options.seed),
    })
  else if (options['flows-memory']) await benchFlows(Number(options.flows ?? 1_000_000))
  else
    await bench(
      Number(options.frames),
      Number(options.flows ?? 1000),
      Number(options.runs),
      Number(options.seed),
    )
} catch (error) {
  console.error((error as Error).message)
  process.exitCode = 1
}

async function bench(frames: number, flows: number, runs: number, seed: number): Promise<void> {
  const missing = ['mergecap', 'capinfos', 'tcpdump', 'tshark'].filter((program) => !isInstalled(program))
  if (missing.length > 0) console.log(`not installed, so left out: ${missing.join(', ')}`)

  const normal = await compareOn(frames, flows, runs, seed)
  if (options.long) {
    const long = await compareOn(frames * 10, flows, 1, seed, ['hoptrace', 'mergecap', 'capinfos'])
    const growth = long.peakRssBytes / normal.peakRssBytes
    console.log(`  memory of hoptrace for 10 × longer files: × ${growth.toFixed(2)} (aim: the same)`)
  }
  const small = { name: 'small', runs: [node(HOPTRACE, 'analyze', SMALL)] }
  const { seconds } = (await alternate([small], 10, folder)).get('small')!
  console.log(
    `\ncaptures/outbound-masquerade, whole command, median of 10: ${seconds.toFixed(3)} s (aim: under 0.3 s)`,
  )
}

/** What very many flows that are open at once take. */
async function benchFlows(flows: number): Promise<void> {
  console.log(`\n4 files, ${flows.toLocaleString('en')} TCP flows of 3 packets`)
  const files = generateManyFlows(folder, flows)
  for (const args of [[], ['--json']]) {
    const name = ['hoptrace analyze', ...args].join(' ')
    const { seconds, peakRssBytes } = await measure(
      { name, runs: [node(HOPTRACE, 'analyze', ...args, ...files)] },
      folder,
    )
    const peak = (peakRssBytes / 1e6).toFixed(0)
    console.log(
      `${name.padEnd(32)}${seconds.toFixed(2).padStart(9)} s${peak.padStart(10)} MB   aim: under 1000 MB`,
    )
  }
}

function sayMachine(): void {
  console.log(
    `${cpus()[0]?.model ?? 'unknown processor'}, ${availableParallelism()} cores, Node ${process.versions.node}`,
  )
}

/** Generates files, checks the answer, then measures and prints one table; returns what hoptrace took. */
async function compareOn(
  frames: number,
  flows: number,
  runs: number,
  seed: number,
  only?: string[],
): Promise<Measured> {
  const { bavail, bsize } = statfsSync(folder)
  if (bavail * bsize < frames * 4 * 290) throw new Error(`not enough room in ${folder}: set TMPDIR`)
  console.log(
    `\n4 files of ${frames.toLocaleString('en')} frames, ${flows.toLocaleString('en')} TCP flows, seed ${seed}`,
  )
  const truth = generate(folder, { frames, flows, seed })
  const files = POINTS.map((point) => join(folder, `${point}.pcap`))
  for (const file of files) warm(file)

  const commands = commandsFor(files).filter(({ name, runs: [run] }) => {
    if (only && !only.some((word) => name.startsWith(word))) return false
    return run![0] === process.execPath || isInstalled(run![0])
  })
  await verify(commands[0], truth, frames)
  const results = await alternate(
    commands.filter(({ name }) => !name.startsWith('tshark')),
    runs,
    folder,
  )
  // By far the slowest, and only for scale: one file, once.
  for (const command of commands.filter(({ name }) => name.startsWith('tshark'))) {
    const once = await measure(command, folder)
    results.set(command.name, { ...once, seconds: once.seconds * files.length })
  }
  print(results, runs)
  for (const file of files) rmSync(file)
  return results.get(commands[0].name)!
}

function commandsFor(files: string[]): Command[] {
  const fields = ['ip.src', 'ip.dst', 'ip.ttl', 'tcp.srcport', 'tcp.dstport', 'tcp.seq'].flatMap((f) => [
    '-e',
    f,
  ])
  return [
    { name: 'hoptrace analyze --json', runs: [node(HOPTRACE, 'analyze', '--json', ...files)] },
    { name: 'mergecap -w /dev/null', runs: [['mergecap', '-w', '/dev/null', ...files]] },
    { name: 'capinfos -c', runs: [['capinfos', '-c', ...files]] },
    {
      name: 'reading and decoding alone',
      runs: [node(join(import.meta.dirname, 'decode-only.js'), ...files)],
    },
    { name: 'tcpdump -nr, 4 files in turn', runs: files.map((file) => ['tcpdump', '-nr', file]) },
    { name: 'tshark -T fields, 1 file × 4', runs: [['tshark', '-nr', files[0], '-T', 'fields', ...fields]] },
  ]
}

async function verify(command: Command, truth: TrueTranslation[], frames: number): Promise<void> {
  const { output } = await measure(command, folder, true)
  const wrong = compare(JSON.parse(output) as Report, truth, frames)
  if (wrong.length > 0) {
    const shown = wrong.slice(0, 8).join('\n  ')
    throw new Error(`analyze is wrong in ${wrong.length} ways, so no figures:\n  ${shown}`)
  }
  console.log(`answer checked: ${truth.length} flows, each translation exact, nothing lost`)
}

function print(results: Map<string, Measured>, runs: number): void {
  console.log(`${'command'.padEnd(32)}${'wall s'.padStart(9)}${'peak MB'.padStart(10)}   (median of ${runs})`)
  for (const [name, { seconds, peakRssBytes }] of results) {
    const peak = peakRssBytes > 0 ? (peakRssBytes / 1e6).toFixed(0) : '-'
    const aim = name.startsWith('hoptrace') ? '   aim: under 200 MB' : ''
    console.log(`${name.padEnd(32)}${seconds.toFixed(2).padStart(9)}${peak.padStart(10)}${aim}`)
  }
  for (const [command, against, aim] of AIMS) {
    const [one, other] = [command, against].map((word) =>
      [...results].find(([name]) => name.startsWith(word)),
    )
    if (one === undefined || other === undefined) continue
    const ratio = (one[1].seconds / other[1].seconds).toFixed(3)
    console.log(`  ${one[0]} / ${other[0]}: ${ratio}${aim === '' ? '' : ` (aim: ${aim})`}`)
  }
}

/** Reads the file once, so that all commands find it in the page cache. */
function warm(file: string): void {
  const buffer = Buffer.alloc(1 << 20)
  const fd = openSync(file, 'r')
  while (readSync(fd, buffer, 0, buffer.length, null) > 0);
  closeSync(fd)
}
