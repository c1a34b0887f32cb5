/** What real tools printed in two connected namespaces: before and after nine datagrams and a connection to each kind of rule. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'

export function recorded(name: string): string {
  return readFileSync(join(import.meta.dirname, 'recorded', name), 'utf8')
}
