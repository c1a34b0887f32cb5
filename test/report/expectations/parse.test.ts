import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { HoptraceError } from '../../../src/errors.ts'
import { evaluate } from '../../../src/report/expectations/evaluate.ts'
import { parseExpectation } from '../../../src/report/expectations/parse.ts'
import { expectHarmless } from '../../commands/program.ts'
import { noFlows, scenarios } from '../scenarios.ts'

function refusal(expression: string): string {
  try {
    parseExpectation(expression)
  } catch (error) {
    expect(error).toBeInstanceOf(HoptraceError)
    expect((error as HoptraceError).exitCode).toBe(2)
    return (error as HoptraceError).message
  }
  return 'is taken'
}

describe('what it takes', () => {
  test.each([
    ...['snat', 'no-snat', 'not snat', '! snat', '!snat', 'not no-snat', 'SNAT', ' nat ', 'dnat'],
    ...['dnat=172.17.0.2', 'dnat=172.17.0.2:80', 'dnat = :80', 'snat=10.0.0.0/8', 'snat==10.1', 'snat!=10.1'],
    ...['snat=2001:db8::1', 'snat=[2001:db8::1]:80', 'snat=[::1]', 'snat=::', 'snat=2001:db8::/32'],
    ...[
      'state=closed',
      'state!=reset',
      'no-state=reset',
      'path=a',
      'path=a,b , c',
      'path="a, b",c',
      'via=any:2',
    ],
    ...[
      'ttl-drop==1',
      'ttl-drop=1',
      'ttl-drop >= 2',
      'rtt<1s',
      'rtt < 1.5 ms',
      'p99(a,b)<800ns',
      'min(a,b)>0ns',
    ],
    ...['median("a b",b,reverse)<=50us', 'P99(a, b, forward) != 2µs', 'p99(a,b)<5\u03bcs'],
    ...[
      'flows==1',
      'packets>9',
      'lost==0',
      'unseen==0',
      'retransmissions<5',
      'duplicates==0',
      'ambiguous<=1',
    ],
    ...['findings!=0', 'errors==0', 'warnings<2', 'finding=port-remapped', 'no-finding=no-reply'],
    ...['finding>=warning', 'no-finding>=warning', '!finding==no-reply'],
    ...['flow: snat', 'flow(port=8080): snat', 'flow(tcp and port 8080):snat', 'flow(port=80,tcp): lost==0'],
    ...[
      'any flow: snat',
      'every flow(net 10.0.0.0/8): lost==0',
      'flow(proto=icmp): flows==2',
      'flow(not tcp) : nat',
    ],
    ...['flow(at="a) b"): snat', 'flow(port=(80 or 443)): snat', 'flow((tcp)): snat', 'Any Flow (tcp): snat'],
  ])('%s', (expression) => {
    expect(refusal(expression)).toBe('is taken')
    const { text, condition } = parseExpectation(expression)
    expect(text).toBe(expression)
    for (const report of [...Object.values(scenarios), noFlows]) {
      const { holds, evidence } = evaluate({ ...parseExpectation(expression), condition }, report)
      expect([typeof holds, evidence !== '']).toEqual(['boolean', true])
    }
  })
})

describe('what is wrong, and where', () => {
  test.each([
    ['', 'is empty: give a condition'],
    [' \t', 'is empty: give a condition'],
    ['lst==0', "'lst' at character 1 is no word that it knows: did you mean 'lost'?"],
    ['xyzzy', "'xyzzy' at character 1 is no word that it knows: snat, dnat, lost, ttl-drop"],
    ['constructor', "'constructor' at character 1 is no word that it knows"],
    ['flow(port=80): lst==0', "'lst' at character 16 is no word"],
    ['flow(prot=80): snat', "'prot' at character 6 is no word that it knows: did you mean 'port'?"],
    ['flow(tcp,port=http): snat', "'http' at character 15 is no port"],
    [
      'flow(tcp and hots 1.2.3.4): snat',
      "'hots' at character 14 is no word that it knows: did you mean 'host'?",
    ],
    ['flow(port=80', "'(' at character 5 is never closed"],
    ['  flow ((tcp): snat', "'(' at character 8 is never closed"],
    ['flow(port=80) snat', "'snat' at character 15 stands where ':' should, behind 'flow(port=80)'"],
    ['flow(port=80)', "'flow(port=80)' at character 1 should have ':'"],
    ['flow(port=80):', 'ends at character 14 behind'],
    ['flow(): snat', "'(' at character 5 has nothing in it"],
    ['flow(port=80,): snat', "ends with ',' at character 13, where a condition should follow"],
    ['flow(port=,tcp): snat', "',' at character 11 stands where a value should follow 'port'"],
    ['flow("x): snat', "'\"' at character 6 is no word"],
    ['any flow', "'flow' at character 5 should have ':'"],
    ['any snat', "'any' at character 1 goes with flow: 'any flow: snat'"],
    ['lost', "ends with 'lost' at character 1, where a comparison such as '=='"],
    ['lost==', "ends with '==' at character 5, where a number should follow"],
    ['lost==x', "'x' at character 7 is no whole number"],
    ['lost==-1', "'-1' at character 7 is no whole number"],
    ['lost==1e3', "'1e3' at character 7 is no whole number"],
    ['lost=>0', "'>' at character 6 stands where a number should"],
    ['lost 0', "'0' at character 6 stands where a comparison with 'lost' should"],
    [
      'lost==0 and snat',
      "'and' at character 9 stands behind the end: give each condition an --expect of its own",
    ],
    ['snat dnat', "'dnat' at character 6 stands where '=' and an address should"],
    ['not lost==0', "'not' at character 1 does not go with 'lost': turn its comparison around"],
    ['no-lost==0', "'no-lost' at character 1 is no word"],
    ['!', "ends with '!' at character 1, where a condition should follow"],
    ['p99', "ends with 'p99' at character 1, where '(' should follow"],
    ['p99<1ms', "'<' at character 4 stands where '(' should"],
    ['p99(a', "ends with 'a' at character 5, where ',' should follow"],
    ['p99(a,b', "ends with 'b' at character 7, where ')' should follow"],
    ['p99(,b)<1ms', "',' at character 5 stands where the name of a point should"],
    ['p99(a,b)', "ends with ')' at character 8, where a comparison"],
    ['p99(a,b)<5', "'5' at character 10 is no duration with a unit"],
    ['p99(a,b)<5min', "'5min' at character 10 is no duration with a unit"],
    ['p99(a,b)<5constructor', "'5constructor' at character 10 is no duration"],
    ['p99(a,b,up)<5ms', "'up' at character 9 is no direction"],
    ['finding', "ends with 'finding' at character 1, where '=' and a code or '>=' and a severity"],
    ['finding=', "ends with '=' at character 8, where a finding's code should follow"],
    ['finding=foo', "'foo' at character 9 is no code of a finding that there can be"],
    // One that no run can have would hold for ever.
    [
      'no-finding=ttl-expird',
      "'ttl-expird' at character 12 is no code of a finding that there can be: did you mean 'ttl-expired'?",
    ],
    ['finding=error', "'error' at character 9 is a severity and no code: say 'finding>=error'"],
    ['no-finding>=bad', "'bad' at character 13 is no severity: there are info, warning, error"],
    ['finding<error', "'<' at character 8 stands where '=' and a code"],
    ['snat=', "ends with '=' at character 5, where an address should follow '='"],
    ['snat=web', "'web' at character 6 is no address"],
    ['snat=1.2.3.4:99999', "'1.2.3.4:99999' at character 6 is no address"],
    ['dnat=1.2.3.4:80:90', "'1.2.3.4:80:90' at character 6 is no address"],
    ['dnat=1.2.3.4/33', "'1.2.3.4/33' at character 6 is no address"],
    ['snat=[::1]80', "'[::1]80' at character 6 is no address"],
    ['snat=[]', "'[]' at character 6 is no address"],
    [`snat=${':'.repeat(9000)}`, 'at character 6 is no address'],
    [`snat=[${':1]'.repeat(3000)}`, 'at character 6 is no address'],
    [`flow(at="${'x'.repeat(9000)}")`, "' at character 1 should have ':'"],
    ['dnat=[::1', "'[::1' at character 6 is no address"],
    ['dnat=:', "':' at character 6 is no address"],
    ['snat<3', "'<' at character 5 stands where '=' and an address should"],
    ['path', "ends with 'path' at character 1, where '=' and the name of a point should follow"],
    ['path=a,', "ends with ',' at character 7, where the name of a point should follow"],
    ['path=,a', "',' at character 6 stands where the name of a point should"],
    ['via=(x', "'(' at character 5 stands where the name of a point should"],
    ['state=closd', "'closd' at character 7 is no state: there are syn-only, refused,"],
    ['==0', "'==' at character 1 stands where a condition should"],
    ['flow("😀😀" or x): snat', "'😀😀' at character 6 is no IP address"],
    ['flow(at="😀"): lst==0', "'lst' at character 15 is no word"],
    ['snat \u001b[2J', "'\\x1b[2J' at character 6 stands where '='"],
    ['!'.repeat(9000), "ends with '!' at character 9000, where a condition should follow"],
    [`flow(${'('.repeat(9000)}`, "'(' at character 5 is never closed"],
    [`flow(${'('.repeat(4000)}${')'.repeat(4001)}: snat`, "'(' at character 106 is nested deeper than 100"],
    ['x'.repeat(100_000), 'has 100000 characters: 10000 are the most'],
  ])('refusal %#', (expression, message) => {
    expect(refusal(expression)).toMatch(/^--expect '/)
    expect(refusal(expression)).toContain(message)
  })

  test('any text is taken and answered, or refused at a character that it has', () => {
    const word = fc.constantFrom(
      ...'flow every any not no- ! ( ) : , = == != < <= > >= " snat dnat nat state path via finding ttl-drop rtt p99'.split(
        ' ',
      ),
      ...'min median lost flows packets errors findings 0 1 80 5ms 1.5 us 10.0.0.0/8 [::1]:80 closed warning'.split(
        ' ',
      ),
      ...'port-remapped bridge "a b" port=80 tcp and or host port constructor __proto__ flow(tcp): \u001b[2J'.split(
        ' ',
      ),
      ...['flow(', 'p99(bridge,uplink)<', 'path=bridge,', 'finding>=', ' ', '\u{1f600}'],
    )
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc
        .array(fc.oneof({ weight: 9, arbitrary: word }, fc.string()), { maxLength: 12 })
        .chain((words) => fc.constantFrom('', ' ').map((gap) => words.join(gap))),
    )
    let taken = 0
    fc.assert(
      fc.property(text, (expression) => {
        const message = refusal(expression)
        expectHarmless(message)
        expect(message).not.toContain('\n')
        if (message !== 'is taken') {
          const [, what] = /^--expect '.*?': (.*)$/s.exec(message) ?? []
          expect(what).toMatch(/^is empty|at character \d+/)
          for (const [, at] of what.matchAll(/ at character (\d+)/g)) {
            expect(Number(at)).toBeGreaterThanOrEqual(1)
            expect(Number(at)).toBeLessThanOrEqual([...expression].length)
          }
          return
        }
        taken++
        for (const report of [...Object.values(scenarios), noFlows])
          expect(typeof evaluate(parseExpectation(expression), report).holds).toBe('boolean')
      }),
      { numRuns: 5000 },
    )
    expect(taken).toBeGreaterThan(0)
  })
})
