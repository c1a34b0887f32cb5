/** The page: draws what the HTML report holds, or what `capture --web` sends. */

import './style/tokens.css'
import './style/page.css'
import { render } from 'preact'
import { PAGE_LIVE } from '../page-data.ts'
import { App } from './app.tsx'
import { EmbeddedSource } from './embedded-source.ts'
import { followLive } from './live/follow.ts'
import { LiveSource } from './live/live-source.ts'
import { followHash, source, startError } from './state.ts'

async function start(): Promise<void> {
  try {
    const url = document.querySelector<HTMLMetaElement>(`meta[name=${PAGE_LIVE}]`)?.content
    if (url === undefined) source.value = await EmbeddedSource.open(document)
    else {
      const live = await LiveSource.open(url)
      source.value = live
      followLive(live)
    }
    followHash()
  } catch (error) {
    startError.value = `This page can’t be drawn: ${error instanceof Error ? error.message : error}`
  }
}

render(<App />, document.getElementById('app')!)
await start()
