/** What only Node has makes the build of the page fail. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'vite'
import { expect, onTestFinished, test } from 'vitest'

const WEB = join(import.meta.dirname, '../../../src/report/web')

/** The script that the page's own configuration makes of `source`. */
async function scriptOf(source: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'hoptrace-build-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const input = join(folder, 'main.ts')
  writeFileSync(input, source)
  const built = await build({
    configFile: join(WEB, 'vite.config.ts'),
    logLevel: 'silent',
    build: { write: false, outDir: join(folder, 'out'), rollupOptions: { input } },
  })
  const { output } = [built].flat()[0] as { output: { code?: string }[] }
  return output[0]!.code!
}

test.each([
  ["import { inspect } from 'node:util'; console.log(inspect({}))", /main\.ts: imports node:util/],
  ["import { join } from 'path'; console.log(join('a', 'b'))", /main\.ts: imports path/],
  [`import { complain } from '${WEB}/../../commands/output.ts'; complain('')`, /output\.ts: imports node:/],
  ["document.title = Buffer.from('a').toString('hex')", /page\.js: uses Buffer/],
  ['document.title = process.version', /page\.js: uses process/],
])('%s', async (source, complaint) => {
  await expect(scriptOf(source)).rejects.toThrow(complaint)
})

test('types and text that speak of them do no harm', async () => {
  const script = await scriptOf(`
    import type { IncomingMessage } from 'node:http'
    export const seen: IncomingMessage | null = null
    document.title = 'The process. A Buffer (of the kernel) ' + new ArrayBuffer(4).byteLength
  `)
  expect(script).toContain('The process.')
})
