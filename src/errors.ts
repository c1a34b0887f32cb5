/** Errors that are the user's to mend: one line, with an exit code of the contract. A bug of ours stays a plain Error. */

/** 1 an expectation did not hold · 2 bad usage or unreadable input · 3 not permitted. */
export type ExitCode = 1 | 2 | 3

/**
 * What went wrong, where and what to do about it, in one line. `cli.ts` prints `message` on stderr without a
 * stack and ends with `exitCode`.
 */
export class HoptraceError extends Error {
  readonly exitCode: ExitCode

  constructor(message: string, exitCode: ExitCode = 2) {
    super(message)
    this.name = 'HoptraceError'
    this.exitCode = exitCode
  }
}
