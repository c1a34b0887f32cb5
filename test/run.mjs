// Runs the tests through vitest and closes with one line that machines read: `N passed, N failed[, N skipped]`.
// The counts come from vitest's JSON result. Arguments are vitest's own: `npm test -- test/decode -t vlan`.
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const folder = mkdtempSync(join(tmpdir(), 'hoptrace-test-'))
const resultFile = join(folder, 'result.json')

// Ctrl-C reaches vitest as well: it ends, and then the counts of what ran are printed.
process.on('SIGINT', () => {})
const exitCode = await new Promise((resolve) => {
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs')
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${resultFile}`]
  const child = spawn(process.execPath, [vitest, 'run', ...reporters, ...process.argv.slice(2)], {
    cwd: root,
    stdio: 'inherit',
  })
  child.on('error', (error) => {
    console.log(`vitest could not be started: ${error.message}`)
    resolve(1)
  })
  child.on('close', (code) => resolve(code ?? 1))
})

let passed = 0
let failed = 0
let skipped = 0
for (const file of readResult()) {
  let failedHere = 0
  for (const { status } of file.assertionResults) {
    if (status === 'passed') passed++
    else if (status === 'failed') failedHere++
    else skipped++
  }
  if (file.status === 'failed' && failedHere === 0) {
    console.log(`Counted as a failure: ${relative(root, file.name)} failed outside of its tests.`)
    failedHere = 1
  }
  failed += failedHere
}
if (passed + failed === 0) {
  console.log('Counted as a failure: no test ran.')
  failed = 1
} else if (exitCode !== 0 && failed === 0) {
  console.log(`Counted as a failure: vitest ended with code ${exitCode} though each test passed.`)
  failed = 1
}
if (skipped > 0 && process.env.CI === 'true') {
  console.log(`Counted as failures: ${skipped} skipped, and with CI=true nothing may be skipped.`)
  failed += skipped
  skipped = 0
}
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
process.exitCode = failed > 0 ? 1 : 0

/** vitest's result by file, or nothing where it ended before it could write one. */
function readResult() {
  try {
    return JSON.parse(readFileSync(resultFile, 'utf8')).testResults
  } catch {
    return []
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
