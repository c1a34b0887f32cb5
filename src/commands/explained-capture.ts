/** What `capture --explain` explains: the file that is written, or one that is kept only until then. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { HoptraceError } from '../errors.ts'
import { type ExplainOptions, explainCaptures } from '../explanation.ts'
import { renderExplanation } from '../report/explain/text.ts'
import { complain, type Output } from './output.ts'

export class ExplainedCapture {
  /** Where the capture has to be written. */
  readonly path: string
  readonly #folder: string | null = null
  readonly #atExit = () => this.remove()

  /** `path` is that of the file that the user wants; without it there will be one that only this user can read. */
  constructor(path: string | undefined) {
    if (path !== undefined) {
      this.path = path
      return
    }
    this.#folder = mkdtempSync(join(tmpdir(), 'hoptrace-kept-'))
    this.path = join(this.#folder, 'capture.pcapng')
    // A second Ctrl-C ends the program at once.
    process.on('exit', this.#atExit)
  }

  /** Explains the first request with an answer; where there is no packet to explain, that is no failure of the capture. */
  async tell(options: Pick<ExplainOptions, 'filter' | 'tunnelPorts'>, stdout: Output): Promise<void> {
    try {
      const { explanation } = await explainCaptures([this.path], options)
      await stdout.write(`\n${renderExplanation(explanation, stdout)}`)
      await stdout.flush()
    } catch (error) {
      if (!(error instanceof HoptraceError)) throw error
      complain(error.message)
    }
  }

  remove(): void {
    if (this.#folder !== null) rmSync(this.#folder, { recursive: true, force: true })
    process.off('exit', this.#atExit)
  }
}
