/** The controls of the play: steps, speed, and which packet of the flow. */

import type { PagePacket } from '../../page-data.ts'
import { formatCount } from '../../quantities.ts'
import type { PlayKey } from './play-keys.ts'

const SPEEDS = [0.5, 1, 2, 4] as const

interface Props {
  packet: PagePacket
  packets: readonly PagePacket[]
  isPlaying: boolean
  isFirst: boolean
  isLast: boolean
  speed: number
  step: number
  steps: number
  onKey: (key: PlayKey) => void
  onSpeed: (speed: number) => void
  onPacket: (number: number) => void
  /** What fills the screen on demand. */
  stage: { current: HTMLElement | null }
}

export function PlayControls(props: Props) {
  const { isPlaying, isFirst, isLast, speed, step, steps, onKey, onSpeed, stage } = props
  return (
    <div class="play-controls no-print">
      <fieldset class="play-buttons">
        <legend class="only-read">Steps</legend>
        <Button label="First" shape="M5 4v12M16 4v12L7 10Z" isOff={isFirst} onClick={() => onKey('first')} />
        <Button label="Back" shape="M14 4v12L5 10Z" isOff={isFirst} onClick={() => onKey('previous')} />
        <Button
          label={isPlaying ? 'Pause' : 'Play'}
          shape={isPlaying ? 'M6 4h3v12H6ZM12 4h3v12h-3Z' : 'M5 3v14l12-7Z'}
          isMain
          onClick={() => onKey('toggle')}
        />
        <Button label="Next" shape="M6 4v12l9-6Z" isOff={isLast} onClick={() => onKey('next')} />
        <Button label="Last" shape="M15 4v12M4 4v12l9-6Z" isOff={isLast} onClick={() => onKey('last')} />
      </fieldset>
      <div class="play-options">
        <span class="play-steps">
          Step {step} of {steps}
        </span>
        <label class="play-speed">
          Speed{' '}
          <select value={speed} onChange={(event) => onSpeed(Number(event.currentTarget.value))}>
            {SPEEDS.map((one) => (
              <option key={one} value={one}>
                {one === 0.5 ? '½' : one}×
              </option>
            ))}
          </select>
        </label>
        <PacketChoice {...props} />
        {document.fullscreenEnabled ? (
          <button
            type="button"
            onClick={() =>
              document.fullscreenElement ? document.exitFullscreen() : stage.current?.requestFullscreen()
            }
          >
            Full screen
          </button>
        ) : null}
        <span class="play-hint quiet">Space plays, arrow keys step.</span>
      </div>
    </div>
  )
}

function PacketChoice({ packet, packets, onPacket }: Props) {
  const place = packets.indexOf(packet)
  const [before, after] = [packets[place - 1], packets[place + 1]]
  const arrow = packet.direction === 'forward' ? '→' : '←'
  return (
    <fieldset class="play-packet">
      <legend class="only-read">Packet</legend>
      <button type="button" aria-disabled={!before} onClick={() => before && onPacket(before.number)}>
        <span aria-hidden="true">‹ </span>
        <span class="play-step-name">Previous packet</span>
      </button>
      <span class={`play-which ${packet.direction}`}>
        <span aria-hidden="true">{arrow} </span>
        <span class="only-read">
          {packet.direction === 'forward' ? 'to the server, ' : 'to the client, '}
        </span>
        Packet {formatCount(packet.number)} <bdi class="mono">{packet.summary}</bdi>
        {packet.retransmission ? <span class="play-again"> ↻ resent</span> : null}
      </span>
      <button type="button" aria-disabled={!after} onClick={() => after && onPacket(after.number)}>
        <span class="play-step-name">Next packet</span>
        <span aria-hidden="true"> ›</span>
      </button>
    </fieldset>
  )
}

interface ButtonProps {
  label: string
  shape: string
  isOff?: boolean
  isMain?: boolean
  onClick: () => void
}

/** At the ends its buttons keep the focus, so they are not disabled in earnest. */
function Button({ label, shape, isOff = false, isMain = false, onClick }: ButtonProps) {
  return (
    <button
      type="button"
      class={`play-button ${isMain ? 'main' : ''}`}
      aria-disabled={isOff}
      onClick={() => (isOff ? undefined : onClick())}
    >
      <svg viewBox="0 0 20 20" aria-hidden="true" focusable="false">
        <path d={shape} />
      </svg>
      <span>{label}</span>
    </button>
  )
}
