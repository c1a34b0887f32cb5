/** The page: draws what the HTML report holds, or what `capture --web` sends. */

import './style/tokens.css'
import './style/page.css'
import { render } from 'preact'
import { App } from './app.tsx'
import { EmbeddedSource } from './embedded-source.ts'
import { followHash, source, startError } from './state.ts'

async function start(): Promise<void> {
  try {
    source.value = await EmbeddedSource.open(document)
    followHash()
  } catch (error) {
    startError.value = `This page can’t be drawn: ${error instanceof Error ? error.message : error}`
  }
}

render(<App />, document.getElementById('app')!)
await start()
