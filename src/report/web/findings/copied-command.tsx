/** A command to be run elsewhere, with a button that copies it. */

import { useEffect, useRef, useState } from 'preact/hooks'

const SHOWN_MS = 2000

export function CopiedCommand({ command }: { command: string }) {
  const text = useRef<HTMLElement>(null)
  const [isCopied, set] = useState(false)
  useEffect(() => {
    if (!isCopied) return
    const timer = setTimeout(() => set(false), SHOWN_MS)
    return () => clearTimeout(timer)
  }, [isCopied])
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(command)
      set(true)
    } catch {
      // Not every browser lets a file from disk copy: it is marked then, and Ctrl+C does it.
      getSelection()?.selectAllChildren(text.current!)
    }
  }
  return (
    <p class="command">
      <code ref={text}>{command}</code>
      <button type="button" class="no-print" onClick={copy}>
        Copy<span class="only-read"> {command}</span>
      </button>
      <span role="status" class="quiet">
        {isCopied ? 'copied' : ''}
      </span>
    </p>
  )
}
