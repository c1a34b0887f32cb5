/** What the build made of the page, read once. */

import { readFileSync } from 'node:fs'
import { HoptraceError } from '../errors.ts'
import type { PageAssets } from './markup.ts'

let assets: PageAssets | null = null

/** The page's script and style, from `dist/web/`, wherever this runs from: `src/` or `dist/`. */
export function pageAssets(): PageAssets {
  assets ??= { script: built('page.js'), style: built('page.css') }
  return assets
}

function built(name: string): string {
  try {
    return readFileSync(new URL(`../../dist/web/${name}`, import.meta.url), 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new HoptraceError(`dist/web/${name}: cannot be read (${code}): \`npm run build\` makes it`)
  }
}
