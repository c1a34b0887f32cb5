import { describe, expect, test } from 'vitest'
import { Blocks, join } from '../capture/bytes.ts'
import { shippedBytes, temporaryFolder } from '../capture/reading.ts'
import { expectHarmless, hoptrace, quote, recordsOf, shell } from './program.ts'

const folder = temporaryFolder()
const CONTAINER = shippedBytes('outbound-masquerade/container')

const NAMES = [
  '\x1b[31mred\x1b[0m.pcap',
  '\x1b]0;title\x07.pcap',
  'two\nlines\r\ttab.pcap',
  `quotes'"\`.pcap`,
  '$(touch pwned); rm -rf .pcap',
  'a\u202egpj.pcap',
  '\u200b\u2066\u061c.pcap',
  '\u009b2J.pcap',
  '-rf.pcap',
  '漢字'.repeat(20),
]
const WAYS = [[], ['--json'], ['--journeys', '-'], ['--flow', '1', '--packets'], ['--host', '9.9.9.9']]

describe('a name of a file or point never reaches the terminal raw', () => {
  test.concurrent.each(NAMES)('%j', async (name) => {
    const good = folder.write(name, CONTAINER)
    const cut = folder.write(`cut${name}`, CONTAINER.subarray(0, -9))
    const text = folder.write(`text${name}`, new TextEncoder().encode(`${name} is no capture`))
    for (const options of WAYS) {
      const args = [good, cut, text, `${name}${good}`, `${name.replaceAll('/', '')}=${cut}`]
        .map(quote)
        .join(' ')
      const run = await shell(`hoptrace analyze ${args} ${options.join(' ')}`)
      expectHarmless(run.stdout)
      expectHarmless(run.stderr)
      expect(run.stderr).not.toMatch(/\n\s+at /)
      expect(run.code).toBe(2)
    }
  })

  test('what is typed as an option comes back harmless', async () => {
    for (const attack of NAMES.slice(0, 8))
      for (const args of [
        ['analyze', `--${attack}`],
        [attack],
        ['analyze', folder.write('good.pcap', CONTAINER), '--path', attack],
        ['analyze', folder.write('good.pcap', CONTAINER), '--proto', attack],
        ['analyze', '--host', attack],
        ['analyze', '--journeys', `/nonexistent/${attack}`, 'x'],
      ]) {
        const { stdout, stderr } = await hoptrace(...args)
        expectHarmless(stdout)
        expectHarmless(stderr)
        expect((stderr + stdout).trimEnd().split('\n')).toHaveLength(1)
      }
  })

  test('a point with a hostile name can be asked for as it is shown', async () => {
    const file = folder.write('plain.pcap', CONTAINER)
    const { code } = await hoptrace('analyze', `\x1b[2J=${file}`, '--path', '\x1b[2J')
    expect(code).toBe(0)
  })
})

/** A DNS answer from port 53 for a name of these labels, as an Ethernet frame. */
function dnsFrame(label: string): Uint8Array {
  const name = new TextEncoder().encode(label).subarray(0, 63)
  const dns = Uint8Array.of(0, 7, 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0, name.length, ...name, 0, 0, 1, 0, 1)
  const frame = new Uint8Array(42 + dns.length)
  const view = new DataView(frame.buffer)
  frame.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0])
  view.setUint16(16, 28 + dns.length)
  frame.set([0, 9, 0, 0, 64, 17, 0, 0, 10, 0, 0, 53, 10, 0, 0, 2, 0, 53, 0x9c, 0x40], 18)
  view.setUint16(38, 8 + dns.length)
  frame.set(dns, 42)
  return frame
}

test.each(['\x1b[2Jname', 'a\nb\u202ec', '\u009b31m', '\x00\x07\x7f'])(
  'text inside of captures: %j',
  async (attack) => {
    const blocks = new Blocks()
    const packet = recordsOf(CONTAINER).records[2].subarray(16)
    const file = folder.write(
      'hostile.pcapng',
      join(
        blocks.section(blocks.option(1, attack), blocks.option(2, attack), blocks.option(4, attack)),
        blocks.interface([blocks.option(2, attack), blocks.option(3, attack), blocks.option(1, attack)]),
        blocks.interface([blocks.option(2, `${attack}${attack}`)]),
        blocks.packet(0, 1_000_000n, packet, [blocks.option(1, attack)]),
        blocks.packet(0, 1_000_001n, dnsFrame(attack), [blocks.option(1, attack)]),
        blocks.packet(1, 1_000_002n, dnsFrame(attack)),
        blocks.statistics(0, blocks.option(1, attack)),
      ),
    )
    for (const options of WAYS.slice(0, 4)) {
      const { stdout, stderr, code } = await hoptrace('analyze', file, ...options)
      expectHarmless(stdout)
      expectHarmless(stderr)
      expect(code).toBe(0)
      if (options[0] === '--json') expect(JSON.parse(stdout).points).toHaveLength(2)
    }
  },
)
