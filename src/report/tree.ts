/** A tree of text for a terminal: branches drawn with lines, each text wrapped to the width that is left for it. */

import type { Palette } from './palette.ts'
import { wrapText } from './width.ts'

/** `harmless` text, perhaps styled; `hang` cells are left free in front of what is wrapped. */
export interface Line {
  readonly text: string
  readonly hang: number
}

export interface Branch {
  /** Those after the first belong below it. */
  readonly lines: readonly (string | Line)[]
  readonly children?: readonly Branch[]
  /** An empty line in front of it. */
  readonly isSetOff?: boolean
}

/** Draws the tree as lines of at most `columns` cells, as far as its depth leaves room. */
export function renderTree(root: Branch, columns: number, { faint }: Palette): string[] {
  const out: string[] = []
  const add = (lines: Branch['lines'], first: string, rest: string) => {
    const width = Math.max(20, columns - Math.max(first.length, rest.length))
    let lead = first
    for (const [i, line] of lines.entries()) {
      const { text, hang } = typeof line === 'string' ? { text: line, hang: i === 0 ? 4 : 2 } : line
      for (const piece of wrapText(text, width, ' '.repeat(hang))) {
        out.push(faint(lead) + piece)
        lead = rest
      }
    }
  }
  const grow = (children: readonly Branch[], indent: string) => {
    for (const [i, { lines, children: more = [], isSetOff }] of children.entries()) {
      const isLast = i === children.length - 1
      const below = `${indent}${isLast ? '   ' : '│  '}`
      if (isSetOff) out.push(faint(`${indent}│`))
      add(lines, `${indent}${isLast ? '└─ ' : '├─ '}`, more.length > 0 ? `${below}│ ` : `${below}  `)
      grow(more, below)
    }
  }
  add(root.lines, '', '')
  grow(root.children ?? [], '')
  return out
}
