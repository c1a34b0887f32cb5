/** What came of the expectations as JUnit XML, as Jenkins and GitLab read it: a test case each. */

import { harmless } from '../harmless.ts'
import type { ExpectationReport } from '../model.ts'

const MAX_CHARACTERS = 10_000
const ENTITIES: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
}

/** Renders a whole document. `suite` names the run, as CI keeps test cases apart by their suite and name. */
export function renderJunit(expectations: readonly ExpectationReport[], suite: string): string {
  const failures = expectations.filter(({ holds }) => !holds).length
  const counts = `tests="${expectations.length}" failures="${failures}" errors="0" skipped="0"`
  const lines = [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites name="hoptrace" tests="${expectations.length}" failures="${failures}" errors="0">`,
    `  <testsuite name=${quoted(suite)} ${counts}>`,
    ...expectations.flatMap((it) => testCase(it, suite)),
    '  </testsuite>',
    '</testsuites>',
  ]
  return `${lines.join('\n')}\n`
}

function testCase({ expression, holds, evidence }: ExpectationReport, suite: string): string[] {
  const told = escaped(evidence)
  return [
    `    <testcase classname=${quoted(suite)} name=${quoted(expression)}>`,
    holds
      ? `      <system-out>${told}</system-out>`
      : `      <failure type="does-not-hold" message=${quoted(evidence)}>${told}</failure>`,
    '    </testcase>',
  ]
}

function quoted(text: string): string {
  return `"${escaped(text)}"`
}

/** XML 1.0 knows no escape for control characters at all: they are written as people read them. */
function escaped(text: string): string {
  return harmless(text, MAX_CHARACTERS).replace(/[&<>"']/g, (sign) => ENTITIES[sign])
}
