/** What the build made of the page, read once. */

import { readFileSync } from 'node:fs'
import type { PageAssets } from './report/page.ts'

let assets: PageAssets | null = null

/** The page's script and style, from `dist/web/`, wherever this runs from: `src/` or `dist/`. */
export function pageAssets(): PageAssets {
  const read = (name: string) => readFileSync(new URL(`../dist/web/${name}`, import.meta.url), 'utf8')
  assets ??= { script: read('page.js'), style: read('page.css') }
  return assets
}
