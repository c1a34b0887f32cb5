/** Lets nothing that only Node has into the page's script: there it would fail when it is first used, long after the build. */

import { isBuiltin } from 'node:module'
import type { Plugin } from 'vite'

/** Globals that no browser has. */
const NODE_GLOBALS = ['Buffer', 'process', 'require', 'setImmediate']

/** Makes the build fail where the page imports a module of Node's, or uses one of its globals. */
export function browserOnly(): Plugin {
  return {
    name: 'browser-only',
    // In front of Vite, which puts an empty module in the place of each.
    enforce: 'pre',
    resolveId(id, importer) {
      if (isBuiltin(id)) this.error(`${importer}: imports ${id}, which no browser has`)
    },
    generateBundle(_, bundle) {
      for (const chunk of Object.values(bundle)) {
        if (chunk.type !== 'chunk') continue
        const found = NODE_GLOBALS.find((name) => isUsed(chunk.code, name))
        if (found) this.error(`${chunk.fileName}: uses ${found}, which no browser has`)
      }
    },
  }
}

/** Whether a word stands there as a value whose member is asked for, or that is called: `Buffer.from(…)`. */
function isUsed(code: string, name: string): boolean {
  return new RegExp(`(?<![\\w$.'"\`])${name}(?=\\??\\.[A-Za-z_$]|\\[|\\()`).test(code)
}
