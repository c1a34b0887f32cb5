/** The full screen in a real terminal: however the program ends, the terminal is as it was before. */

import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { requireTool } from '../tools.ts'

const SCREEN = join(import.meta.dirname, '../../dist/commands/screen.js')
const WAIT_MS = 20_000

/** Opens the screen, draws keys and resizes as they come, and ends as its first argument says. */
const SCRIPT = `
import { writeFileSync } from 'node:fs'
import { FullScreen } from ${JSON.stringify(SCREEN)}
const [how] = process.argv.slice(2)
if (how === 'graceful') for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => {
  screen.close(); console.log('summary after ' + signal); process.exit(0)
})
const seen = []
const draw = () => screen.draw(['\\x1b[31mpicture of ' + screen.columns + 'x' + screen.rows, seen.join(' '), 'x'.repeat(screen.columns), ...Array(200).fill('row')].join('\\n'))
const screen = FullScreen.open({
  onKey(key) {
    seen.push(key)
    if (key === 'q') { screen.close(); screen.close(); console.log('closed') }
    else if (key === 't') { draw(); throw new Error('thrown on purpose') }
    else if (key === 'r') Promise.reject(new Error('rejected on purpose'))
    else if (key === 'e') { for (let i = 0; i < 50; i++) { seen.push(i); draw() } process.exit(3) }
    else draw()
  },
  onResize: draw,
})
draw()
writeFileSync('pid', String(process.pid))
`

let folder = ''
/** A server of its own for each test: one that was killed may still be going when the next one starts. */
let server = 0
const socket = () => join(folder, `tmux-${server}`)

function tmux(...args: string[]): string {
  return execFileSync('tmux', ['-S', socket(), '-f', '/dev/null', ...args], { encoding: 'utf8' })
}

function type(...keys: string[]): void {
  tmux('send-keys', '-t', 'test', ...keys)
}

function pane(): string {
  return tmux('capture-pane', '-p', '-t', 'test').trimEnd()
}

/** Whether the alternate screen is on, the cursor visible, long lines wrapped. */
function flags(): string {
  return tmux('display-message', '-p', '-t', 'test', '#{alternate_on} #{cursor_flag} #{wrap_flag}').trim()
}

/** A child that nobody has waited for yet has ended as well. */
function hasEnded(pid: number): boolean {
  const stat = `/proc/${pid}/stat`
  return !existsSync(stat) || / Z /.test(readFileSync(stat, 'utf8'))
}

async function until<T>(what: string, look: () => T | null | undefined | false | ''): Promise<T> {
  for (
    const end = Date.now() + WAIT_MS;
    Date.now() < end;
    await new Promise((later) => setTimeout(later, 40))
  ) {
    const found = look()
    if (found) return found
  }
  throw new Error(`${what} did not come; the screen:\n${pane()}`)
}

/** The terminal's settings, as the shell's children find them. */
async function settings(name: string): Promise<string> {
  type(`stty -a > ${name}; echo ${name} done`, 'Enter')
  await until(name, () => pane().includes(`\n${name} done`))
  return readFileSync(join(folder, name), 'utf8')
}

async function start(how: string): Promise<number> {
  type(`node script.mjs ${how}; echo "ended $?"`, 'Enter')
  await until('the picture', () => pane().startsWith('picture of 80x24'))
  expect(flags()).toBe('1 0 0')
  return Number(
    await until(
      'the pid',
      () => existsSync(join(folder, 'pid')) && readFileSync(join(folder, 'pid'), 'utf8'),
    ),
  )
}

describe.skipIf(!requireTool('tmux'))('the terminal is given back', () => {
  let before = ''
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'hoptrace-screen-'))
    writeFileSync(join(folder, 'script.mjs'), SCRIPT)
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  beforeEach(async () => {
    server++
    rmSync(join(folder, 'pid'), { force: true })
    tmux(
      'new-session',
      '-d',
      '-s',
      'test',
      '-x',
      '80',
      '-y',
      '24',
      '-c',
      folder,
      "env PS1='$ ' bash --norc --noprofile",
    )
    await until('the shell', () => pane() === '$')
    type(`node() { ${process.execPath} "$@"; }; clear; echo above`, 'Enter')
    await until('above', () => pane().startsWith('above'))
    before = await settings('before')
  })
  afterEach(() => {
    spawnSync('tmux', ['-S', socket(), 'kill-server'])
  })

  /** The shell is there again, with what stood on the screen before and nothing of the picture. */
  async function expectGivenBack(said: string): Promise<void> {
    await until(said, () => pane().includes(said))
    const shown = pane()
    expect(shown.startsWith('above')).toBe(true)
    expect(shown).not.toContain('picture')
    expect(shown).not.toContain('xxxx')
    expect(flags()).toBe('0 1 1')
    expect(await settings('after')).toBe(before)
  }

  test('when it is closed, with keys by their names until then', async () => {
    await start('')
    type('Up', 'PageDown', 'Home', 'a', 'Space', 'Escape')
    await until('the keys', () => pane().includes('up pagedown home a space escape'))
    type('q')
    await expectGivenBack('closed')
    await until('the end', () => pane().includes('ended 0'))
  })

  test.each([
    ['t', 'thrown on purpose', 'ended 1'],
    ['r', 'rejected on purpose', 'ended 1'],
    ['e', 'ended 3', 'ended 3'],
  ])('after an exception, a rejection, process.exit: %s', async (key, said, ended) => {
    await start('')
    type(key)
    await until('the end', () => pane().includes(ended))
    await expectGivenBack(said)
  })

  test.each([
    ['SIGTERM', 143],
    ['SIGHUP', 129],
    ['SIGQUIT', 131],
    ['SIGUSR2', 140],
  ] as const)('after %s, of which it dies all the same', async (signal, code) => {
    process.kill(await start(''), signal)
    await expectGivenBack(`ended ${code}`)
  })

  test('after Ctrl-\\', async () => {
    await start('')
    type('C-\\')
    await expectGivenBack('ended 131')
  })

  test.each(['SIGINT', 'Ctrl-C'])('after %s', async (how) => {
    const pid = await start('')
    if (how === 'SIGINT') process.kill(pid, 'SIGINT')
    else type('C-c')
    await until('the shell', () => flags() === '0 1 1')
    // A shell that sees its child die of SIGINT leaves out what should have followed.
    type('echo "code $?"', 'Enter')
    await expectGivenBack('\ncode 130')
    expect(pane()).not.toContain('\nended')
  })

  test('by a program that handles the signal itself', async () => {
    process.kill(await start('graceful'), 'SIGTERM')
    await expectGivenBack('summary after SIGTERM')
  })

  test('by such a program on Ctrl-C', async () => {
    await start('graceful')
    type('C-c')
    await expectGivenBack('summary after SIGINT')
  })

  test('while it is suspended, and it takes over again', async () => {
    const pid = await start('')
    for (const stop of [() => type('C-z'), () => process.kill(pid, 'SIGTSTP')]) {
      stop()
      await until('the shell', () => pane().includes('Stopped'))
      await expectGivenBack('Stopped')
      type('clear; echo above; fg', 'Enter')
      await until('the picture', () => pane().startsWith('picture of 80x24'))
      expect(flags()).toBe('1 0 0')
    }
    type('a', 'q')
    await expectGivenBack('closed')
  })

  test('after SIGSTOP and SIGCONT', async () => {
    const pid = await start('')
    process.kill(pid, 'SIGSTOP')
    await until('the shell', () => pane().includes('Stopped'))
    type('fg', 'Enter')
    await until('the picture', () => pane().startsWith('picture of 80x24') && flags() === '1 0 0')
    type('a', 'q')
    await expectGivenBack('closed')
  })

  test('after another size, at which it draws anew', async () => {
    await start('')
    tmux('resize-window', '-t', 'test', '-x', '100', '-y', '30')
    await until('the new picture', () => pane().startsWith('picture of 100x30'))
    expect(pane().split('\n')).toHaveLength(30)
    expect(pane()).toContain(`\n${'x'.repeat(100)}\n`)
    type('q')
    await until('the end', () => pane().includes('closed'))
    expect(flags()).toBe('0 1 1')
  })

  test('a terminal that goes away ends the program', async () => {
    const pid = await start('')
    tmux('kill-server')
    await until('the end', () => hasEnded(pid))
  })

  test('where there is no shell above, Ctrl-Z does nothing', async () => {
    tmux('kill-session', '-t', 'test')
    tmux(
      'new-session',
      '-d',
      '-s',
      'test',
      '-x',
      '80',
      '-y',
      '24',
      '-c',
      folder,
      process.execPath,
      'script.mjs',
    )
    await until('the picture', () => pane().startsWith('picture of 80x24'))
    type('C-z')
    await new Promise((later) => setTimeout(later, 300))
    type('a')
    await until('the key', () => pane().includes('\na\n'))
    expect(flags()).toBe('1 0 0')
  })

  test('no terminal, or one that cannot do it: one line', async () => {
    type(
      `node script.mjs 2>&1 | grep -o 'Error: --watch.*'; TERM=dumb node script.mjs 2>&1 | cat; echo "done"`,
      'Enter',
    )
    await until('the line', () => pane().includes('--watch needs a terminal: standard output is none'))
    type('clear; TERM=dumb node script.mjs 2>&1 >/dev/tty | grep -o "Error: --watch.*"', 'Enter')
    await until('the line', () => pane().includes('--watch needs a terminal: TERM=dumb cannot place text'))
    expect(flags()).toBe('0 1 1')
  })
})
