/** Keeps the licences of the libraries that are in the page's script: they ask for that in every copy. */

import { readFileSync } from 'node:fs'
import type { Plugin } from 'vite'

/** Path of a module up to the folder of its package. */
const PACKAGE = /^(.*\/node_modules\/((?:@[^/]+\/)?[^/]+))\//

/** Puts them in front of the script, behind whatever takes comments out of it. */
export function licenses(): Plugin {
  return {
    name: 'licenses',
    generateBundle(_, bundle) {
      for (const chunk of Object.values(bundle)) {
        if (chunk.type !== 'chunk') continue
        const packages = new Map<string, string>()
        for (const [id, { renderedLength }] of Object.entries(chunk.modules)) {
          const [, folder, name] = PACKAGE.exec(id) ?? []
          if (folder !== undefined && renderedLength > 0) packages.set(name!, folder)
        }
        const notices = [...packages].sort().map(([name, folder]) => {
          const text = readFileSync(`${folder}/LICENSE`, 'utf8').replaceAll('\r', '').trim()
          if (text.includes('*/'))
            throw new Error(`the licence of ${name} would end the comment it stands in`)
          return `${name}\n\n${text}`
        })
        if (notices.length > 0) chunk.code = `/*!\n${notices.join('\n\n---\n\n')}\n*/\n${chunk.code}`
      }
    },
  }
}
