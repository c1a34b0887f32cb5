import { execFileSync } from 'node:child_process'
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { analyze } from '../../src/analysis.ts'
import { JoinedWriter } from '../../src/capture/joined-writer.ts'
import { MergedRecords } from '../../src/capture/merge.ts'
import type { Receipts } from '../../src/receipts/model.ts'
import { receiptComments, receiptsIn } from '../../src/receipts/receipts-text.ts'
import { requireTool, run } from '../tools.ts'
import { sampleReceipts } from './sample.ts'

const UPLINK = join(import.meta.dirname, '../../captures/outbound-masquerade/uplink.pcap.gz')

function scratch(): (name: string) => string {
  const folder = mkdtempSync(join(tmpdir(), 'hoptrace-receipts-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return (name) => join(folder, name)
}

/** Writes a capture with such comments at its end. */
async function written(path: string, comments: readonly string[]): Promise<string> {
  const records = await MergedRecords.open([{ path: UPLINK, source: 'uplink', name: null }])
  const writer = await JoinedWriter.open(path, records)
  while (!records.done) {
    while (records.advance()) writer.add(records.point, records.record, -1)
    if (!records.done) await records.fill()
  }
  await writer.finish(comments)
  writer.close()
  await records.close()
  return path
}

async function read(...paths: string[]): Promise<{ receipts: Receipts[]; warnings: string[] }> {
  const { receipts, report } = await analyze(paths)
  return { receipts, warnings: report.warnings }
}

describe('receipts in a pcapng', () => {
  test('are read as they were written, few or many', async () => {
    const file = scratch()
    for (const entries of [1, 4096]) {
      const receipts = sampleReceipts(entries)
      const comments = receiptComments(receipts)
      expect(comments.every((comment) => /^[ -~]*$/.test(comment) && comment.length <= 65_535)).toBe(true)
      const path = await written(file(`${entries}.pcapng`), comments)
      expect(await read(path)).toEqual({ receipts: [receipts], warnings: [] })
    }
  })

  test('of several files are a list, also of one file behind the other, and go on into a file that is written', async () => {
    const file = scratch()
    const other = { ...sampleReceipts(), hostname: 'other' }
    const a = await written(file('a.pcapng'), receiptComments(sampleReceipts()))
    const b = await written(file('b.pcapng'), receiptComments(other))
    expect((await read(a, b)).receipts).toEqual([sampleReceipts(), other])
    const c = file('c.pcapng')
    writeFileSync(c, readFileSync(a))
    appendFileSync(c, readFileSync(b))
    expect((await read(c)).receipts).toEqual([sampleReceipts(), other])
    const d = file('d.pcapng')
    await analyze([a, b], { write: d })
    expect((await read(d)).receipts).toEqual([sampleReceipts(), other])
    expect((await read(UPLINK)).receipts).toEqual([])
  })

  test.skipIf(!requireTool('tshark', 'capinfos', 'editcap', 'mergecap'))(
    'are no matter to other tools: frames, counts and drops are the same',
    async () => {
      const file = scratch()
      const plain = await written(file('plain.pcapng'), [])
      const path = await written(file('with.pcapng'), receiptComments(sampleReceipts(4096)))
      const frames = (name: string) => run('tshark', '-n', '-r', name, '-T', 'json', '-x')
      expect(frames(path)).toBe(frames(plain))
      const about = (name: string) => run('capinfos', '-M', '-c', '-u', '-a', '-I', name)
      const counted = about(path).replace('with.pcapng', 'plain.pcapng')
      expect(counted).toBe(about(plain))
      for (const [program, ...args] of [
        ['editcap', path, file('e.pcapng')],
        ['mergecap', '-w', file('m.pcapng'), path],
      ]) {
        const stderr = execFileSync(program!, args, { encoding: 'utf8', stdio: ['ignore', 'ignore', 'pipe'] })
        expect(stderr ?? '').toBe('')
      }
      expect(frames(file('e.pcapng'))).toBe(frames(plain))
    },
  )
})

describe('receipts that somebody else wrote', () => {
  test('do nothing in a terminal, and are what they are said to be', async () => {
    const hostile = sampleReceipts() as unknown as Record<string, unknown>
    const [namespace] = hostile.namespaces as Record<string, unknown>[]
    Object.assign(namespace!, {
      name: '\x1b]0;owned\x07web\u202e',
      ruleCount: 'many',
      listeners: [
        { protocol: 'tcp', ip: 'rm -rf', port: 80 },
        7,
        null,
        { protocol: 'tcp', ip: '::', port: 1e9 },
      ],
      routes: { length: 1e9 },
      extra: '\x1b[2J',
      __proto__: { polluted: true },
    })
    Object.assign(hostile, { hostname: '\x1b[31m', drops: 'none', notRead: [[[[]]]] })
    const path = await written(scratch()('x.pcapng'), receiptComments(hostile as unknown as Receipts))
    const { receipts, warnings } = await read(path)
    expect(warnings).toEqual([])
    expect(JSON.stringify(receipts)).toMatch(/^[ -~→ö…ü]*$/)
    expect(receipts[0]).toMatchObject({ hostname: '\\x1B[31m', drops: [], notRead: [] })
    expect(receipts[0]!.namespaces[0]).toMatchObject({
      name: '\\x1B]0;owned\\x07web\\u{202E}',
      ...{ ruleCount: null, listeners: [], routes: [] },
    })
    expect(receipts[0]!.namespaces[0]).not.toHaveProperty('extra')
  })

  test('are left out with one warning where they are damaged, incomplete or of another version', () => {
    const [one = ''] = receiptComments(sampleReceipts())
    const many = receiptComments(sampleReceipts(4096))
    for (const comments of [
      [one.slice(0, -1)],
      [one.replace('receipts/1 ', 'receipts/2 ')],
      [one.replace('1/1', '2/1')],
      many.slice(0, -1),
      many.slice(1),
      [many[0]!, many[2]!],
      ['hoptrace.receipts/'],
      ['hoptrace.receipts/1 1/1 null'],
      ['hoptrace.receipts/1 1/1 {"schema":"hoptrace.receipts/1"}'],
      [`hoptrace.receipts/1 1/1 ${'['.repeat(50_000)}`],
      Array<string>(1000).fill('hoptrace.receipts/1 1/9999 {'),
    ]) {
      const warnings: string[] = []
      expect(receiptsIn(comments, 'x.pcapng', warnings)).toEqual([])
      expect(warnings).toHaveLength(1)
      expect(warnings[0]).toMatch(/^x\.pcapng: the receipts of the kernel in it [^\n]*$/)
    }
  })

  test('may be any number of bytes without taking as much memory', async () => {
    const path = scratch()('big.pcapng')
    const comment = `hoptrace.receipts/1 1/1 "${'x'.repeat(60_000)}"`
    await written(path, Array<string>(270).fill(comment))
    const { receipts, warnings } = await read(path)
    expect(receipts).toEqual([])
    expect(warnings.length).toBe(1)
  })
})
