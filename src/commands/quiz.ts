/** The quiz of `hoptrace explain --quiz`: asks on a terminal, or reads answers line by line from a pipe; keeps the score. */

import { createInterface, type Interface } from 'node:readline'
import type { Explanation } from '../report/explain/model.ts'
import { countQuestions, type Question, questionsAbout } from '../report/explain/quiz.ts'
import { ExplainScreen } from '../report/explain/text.ts'
import { harmless } from '../report/harmless.ts'
import type { Output } from './output.ts'

/** What is shown of an answer. */
const MAX_ANSWER = 100

/** Asks all questions. Ends early where whoever answers on a terminal leaves (Ctrl-D, Ctrl-C), or whoever reads does. */
export async function runQuiz(explanation: Explanation, stdout: Output): Promise<void> {
  const answers = new Answers(stdout)
  try {
    await quiz(explanation, answers, stdout)
  } finally {
    answers.close()
  }
}

async function quiz(explanation: Explanation, answers: Answers, stdout: Output): Promise<void> {
  const screen = new ExplainScreen({ columns: stdout.columns, color: stdout.color })
  const { palette } = screen
  const show = (lines: readonly string[]) => stdout.write(`${lines.join('\n')}\n`)
  const score = { right: 0, answered: 0 }
  const ask = async (question: Question): Promise<boolean> => {
    await show([`  ${palette.heading('?')} ${harmless(question.ask)}`])
    const given = await answers.next()
    if (given === null && answers.isTerminal) return false
    const isRight = given !== null && question.accepts(given)
    if (given !== null) score.answered++
    if (isRight) score.right++
    const verdict = given === null ? palette.faint('=') : isRight ? palette.info('✓') : palette.error('✗')
    const echo = given === null || answers.isTerminal ? '' : `${harmless(given.trim(), MAX_ANSWER)} → `
    await show([`    ${verdict} ${echo}${harmless(question.answer)}`])
    return !stdout.closed
  }
  await show([
    ...screen.title(explanation),
    `${countQuestions(explanation)} questions: what will the next header say?`,
  ])
  for (const packet of explanation.packets) {
    await show(['', ...screen.packetTitle(packet, explanation)])
    for (const [i, station] of packet.stations.entries()) {
      const before = packet.stations[i - 1]
      await show([''])
      for (const question of before ? questionsAbout(station, before) : [])
        if (!(await ask(question))) return await end(score, show)
      if (before) await show([''])
      await show(screen.station(station, i, before))
    }
    await show(screen.ending(packet))
  }
  await show(screen.mappings(explanation))
  await end(score, show)
}

async function end(
  { right, answered }: { right: number; answered: number },
  show: (lines: readonly string[]) => Promise<void>,
): Promise<void> {
  await show(['', answered === 0 ? 'Score: no answers were given' : `Score: ${right} of ${answered} right`])
}

/** Answers as they come in, a line each. */
class Answers {
  readonly isTerminal: boolean
  readonly #readline: Interface
  readonly #lines: AsyncIterator<string>
  readonly #stdout: Output

  constructor(stdout: Output) {
    this.isTerminal = process.stdin.isTTY === true
    this.#stdout = stdout
    this.#readline = createInterface({
      input: process.stdin,
      ...(this.isTerminal && stdout.isTerminal ? { output: process.stdout, prompt: '    > ' } : {}),
    })
    this.#lines = this.#readline[Symbol.asyncIterator]()
  }

  /** The next line; null where there will be none. */
  async next(): Promise<string | null> {
    await this.#stdout.flush()
    if (this.isTerminal) this.#readline.prompt()
    const { value, done } = await this.#lines.next()
    return done ? null : value
  }

  close(): void {
    this.#readline.close()
    process.stdin.unref?.()
  }
}
