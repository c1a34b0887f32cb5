import { describe, expect, test } from 'vitest'
import { SEVERITY } from '../../src/diagnose/finding.ts'
import { expectHarmless, hoptrace, SCENARIOS } from './program.ts'

/** The contract's document, as types that can be checked: a list stands for each of its elements. */
type Shape = 'string' | 'number' | 'boolean' | RegExp | null | Shape[] | Either | { [key: string]: Shape }
class Either {
  readonly shapes: Shape[]
  constructor(...shapes: Shape[]) {
    this.shapes = shapes
  }
}

const NS = /^\d{10,20}$/
const COUNT = new Either(null, 'number')
const END = { ip: /^[\da-f.:]+$/, port: 'number' } as const
const WAY = {
  packets: 'number',
  bytes: 'number',
  path: [{ point: 'string', src: END, dst: END, ttl: 'number', packets: 'number' }],
} as const
const DIRECTION = /^(forward|reverse)$/
const FLOW = {
  id: 'number',
  protocol: 'string',
  state: /^(syn-only|refused|established|closed|reset|stateless)$/,
  client: END,
  server: END,
  forward: WAY,
  reverse: WAY,
  translations: [{ kind: /^[sd]nat$/, between: ['string'], from: END, to: END }],
  lost: [{ direction: DIRECTION, between: ['string'], packets: 'number' }],
  latency: [
    {
      direction: DIRECTION,
      between: ['string'],
      minNs: 'number',
      medianNs: 'number',
      p99Ns: 'number',
      packets: 'number',
    },
  ],
  retransmissions: { forward: 'number', reverse: 'number' },
  ambiguous: 'number',
} as const
const TUNNEL = { kind: /^(vxlan|geneve|gre|ipip|gtpu)$/, id: 'number', src: 'string', dst: 'string' } as const
const LINK_DIRECTION = {
  packets: 'number',
  flows: 'number',
  ttl: [{ step: 'number', packets: 'number' }],
  macs: { kept: 'number', replaced: 'number', partly: 'number' },
  vlans: [{ from: ['number'], to: ['number'], packets: 'number' }],
  rewritten: { source: 'number', destination: 'number' },
  tunnels: [{ from: [TUNNEL], to: [TUNNEL], packets: 'number' }],
  delay: new Either(null, { minNs: 'number', medianNs: 'number' }),
} as const
const REPORT: Shape = {
  schema: /^hoptrace\.report\/1$/,
  points: [
    {
      name: 'string',
      source: 'string',
      linkType: 'string',
      packets: 'number',
      bytes: 'number',
      firstNs: new Either(null, NS),
      lastNs: new Either(null, NS),
      captureDrops: COUNT,
      undecoded: 'number',
      clock: { offsetNs: 'number', skewPpm: 'number', uncertaintyNs: 'number' },
    },
  ],
  path: ['string'],
  links: [
    {
      between: ['string'],
      relation: /^(same-place|same-wire|unrouted|routed|nat|tunnel|proxy|unclear)$/,
      evidence: {
        forward: LINK_DIRECTION as unknown as Shape,
        reverse: LINK_DIRECTION as unknown as Shape,
        translations: { snat: 'number', dnat: 'number' },
      },
    },
  ],
  groups: [['string']],
  flows: [FLOW as unknown as Shape],
  findings: [
    {
      code: new RegExp(`^(${Object.keys(SEVERITY).join('|')})$`),
      severity: /^(error|warning|info)$/,
      flow: COUNT,
      summary: 'string',
      evidence: {},
    },
  ],
}

/** Where `value` is not as the contract says, one line each; more than it says is allowed. */
function misfits(value: unknown, shape: Shape, at = '$'): string[] {
  const wrong = [`${at} is ${JSON.stringify(value)?.slice(0, 80)}`]
  if (shape instanceof Either)
    return shape.shapes.some((one) => misfits(value, one, at).length === 0) ? [] : wrong
  if (shape === null) return value === null ? [] : wrong
  if (shape instanceof RegExp) return typeof value === 'string' && shape.test(value) ? [] : wrong
  if (shape === 'number') return typeof value === 'number' && Number.isFinite(value) ? [] : wrong
  if (typeof shape === 'string') return typeof value === shape ? [] : wrong
  if (Array.isArray(shape))
    return Array.isArray(value) ? value.flatMap((one, i) => misfits(one, shape[0], `${at}[${i}]`)) : wrong
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return wrong
  return Object.entries(shape).flatMap(([key, inner]) =>
    misfits((value as Record<string, unknown>)[key], inner, `${at}.${key}`),
  )
}

test('the check itself finds what is wrong', () => {
  expect(misfits({ id: '1' }, { id: 'number', state: 'string' })).toEqual([
    '$.id is "1"',
    '$.state is undefined',
  ])
  expect(misfits([{ a: Number.NaN }], [{ a: 'number' }])).toHaveLength(1)
})

describe.each(SCENARIOS)('captures/%s', (scenario) => {
  test.concurrent('--json is one document as the contract says, and nothing else', async () => {
    const { stdout, stderr, code } = await hoptrace('analyze', `captures/${scenario}`, '--json')
    expect([stderr, code]).toEqual(['', 0])
    expectHarmless(stdout)
    const report = JSON.parse(stdout)
    expect(misfits(report, REPORT)).toEqual([])
    expect(report.flows.length).toBeGreaterThan(0)
    const names = report.points.map(({ name }: { name: string }) => name)
    expect(report.path.toSorted()).toEqual(names.toSorted())
    report.flows.forEach(({ id, forward, reverse }: Record<string, never>, i: number) => {
      expect(id).toBe(i + 1)
      for (const { path } of [forward, reverse] as { path: { point: string }[] }[])
        for (const { point } of path) expect(names).toContain(point)
    })
  })

  test.concurrent('as text: 80 columns, no sign that a terminal obeys', async () => {
    const { stdout, stderr, code } = await hoptrace('analyze', `captures/${scenario}`)
    expect([stderr, code]).toEqual(['', 0])
    expectHarmless(stdout)
    for (const line of stdout.split('\n')) expect([...line].length, line).toBeLessThanOrEqual(80)
  })
})
