/** Saving from a live page: what needs more than a link. */

import { LivePath } from '../../page-live.ts'

/** Has the HTML report made and hands it to the browser as a download; resolves to what went wrong, or null. */
export async function saveReport(): Promise<string | null> {
  try {
    const response = await fetch(LivePath.report)
    if (!response.ok) return sentenceOf(await response.text())
    const link = document.createElement('a')
    link.href = URL.createObjectURL(await response.blob())
    const [, name] = /filename="([^"]+)"/.exec(response.headers.get('Content-Disposition') ?? '') ?? []
    link.download = name ?? 'capture.html'
    link.click()
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000)
    return null
  } catch {
    return 'The report did not come through: does the capture still run?'
  }
}

/** Ends the capture; resolves to what went wrong, or null. */
export async function stopCapture(): Promise<string | null> {
  try {
    const response = await fetch(LivePath.stop, { method: 'POST' })
    return response.ok ? null : sentenceOf(await response.text())
  } catch {
    return 'The capture could not be reached.'
  }
}

/** The sentence on the server's page. */
function sentenceOf(html: string): string {
  return new DOMParser().parseFromString(html, 'text/html').querySelector('p')?.textContent ?? 'It failed.'
}
