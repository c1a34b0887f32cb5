/** The bytes of the packet's frames at each point, those of the field that is pointed at marked. */

import { type Signal, signal, useSignal } from '@preact/signals'
import { useEffect, useMemo } from 'preact/hooks'
import { harmless } from '../../harmless.ts'
import type { PageFrame, PagePacket } from '../../page-data.ts'
import { pointName } from '../../path-line.ts'
import { formatCount, formatCounted } from '../../quantities.ts'
import { framesOf } from '../packet-frames.ts'
import { changedBytes, type DumpRow, dumpRows, type Run } from './byte-dump.ts'
import type { ByteRange } from './field-bytes.ts'
import type { HeaderTable } from './header-table.ts'
import { bytesOf } from './page-frame.ts'

/** The bytes of more points would put what comes below them out of sight. */
const MAX_OPEN_POINTS = 4
/** Whether they were opened or closed by hand, which holds for all packets. */
const isOpen = signal<boolean | null>(null)
const NARROW = '(max-width: 640px)'

interface Props {
  packet: PagePacket
  table: HeaderTable
  pointedAt: Signal<string | null>
}

export function ByteDumps({ packet, table, pointedAt }: Props) {
  const perRow = useBytesPerRow()
  const isShown = isOpen.value ?? table.columns.length <= MAX_OPEN_POINTS
  const groups = table.groups
  const row = groups.flatMap(({ rows }) => rows).find(({ key }) => key === pointedAt.value)
  const title = groups.find(({ rows }) => row && rows.includes(row))?.title
  return (
    <details class="bytes" open={isShown}>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: a summary is interactive */}
      <summary
        class="section-head"
        onClick={(event) => {
          event.preventDefault()
          isOpen.value = !isShown
        }}
      >
        <h3>Bytes</h3>
        <span class="quiet">
          <span class="byte-changed">marked</span> where they differ from the point before
        </span>
        <span class="quiet" id="bytes-hint" aria-live="polite">
          {row && title
            ? `${title} ${row.name}: ${placesText(row.cells.map((cell) => cell?.bytes ?? null))}`
            : 'Point at a field above to find its bytes.'}
        </span>
      </summary>
      <div class="dumps">
        {table.columns.map((_, i) => (
          <PointDump
            key={`${packet.number} ${i}`}
            packet={packet}
            table={table}
            index={i}
            perRow={perRow}
            marked={row?.cells[i]?.bytes ?? null}
          />
        ))}
      </div>
    </details>
  )
}

interface PointProps {
  packet: PagePacket
  table: HeaderTable
  index: number
  perRow: number
  marked: ByteRange | null
}

function PointDump({ packet, table, index, perRow, marked }: PointProps) {
  const { point, frames: numbers } = table.columns[index]!
  const frames = packet.bytes[index] ?? []
  const chosen = useSignal(0)
  const shown = Math.min(chosen.value, frames.length - 1)
  const frame = frames[shown]
  const bytes = useMemo(() => (frame ? bytesOf(frame) : null), [frame])
  const changed = useMemo(
    () => (bytes && shown === 0 ? changesAt(packet, table, index) : null),
    [packet, table, index, bytes, shown],
  )
  return (
    <figure class="dump">
      <figcaption>
        <b>{pointName(point)}</b> ·{' '}
        {frames.length > 1 ? (
          <FrameChoice packet={packet} index={index} numbers={numbers} chosen={chosen} />
        ) : (
          <span>frame {numbers[0]}</span>
        )}{' '}
        · <span class="quiet">{frame ? lengthText(frame, bytes!.length) : null}</span>
      </figcaption>
      {bytes ? (
        <Dump rows={dumpRows(bytes, perRow, changed, shown === 0 ? marked : null)} />
      ) : (
        <p class="quiet">The frame could not be read again.</p>
      )}
    </figure>
  )
}

/** Compared with the last point in front whose frame is there. */
function changesAt({ bytes }: PagePacket, { columns }: HeaderTable, index: number): Uint8Array | null {
  const before = columns.slice(0, index).findLastIndex(({ frame }) => frame !== null)
  const [mine, old] = [bytes[index]?.[0], bytes[before]?.[0]]
  if (before < 0 || !mine || !old) return null
  return changedBytes(
    { frame: columns[index]!.frame!, bytes: bytesOf(mine) },
    { frame: columns[before]!.frame!, bytes: bytesOf(old), lenBytes: old.lenBytes },
  )
}

function FrameChoice({
  packet,
  index,
  numbers,
  chosen,
}: {
  packet: PagePacket
  index: number
  numbers: readonly number[]
  chosen: Signal<number>
}) {
  const pieces = useMemo(() => framesOf(packet)[index]!.map(({ piece }) => harmless(piece)), [packet, index])
  const more = numbers.length - pieces.length
  return (
    <>
      <select
        aria-label={`Frame at ${pointName(packet.sightings[index]!.point)}`}
        value={String(chosen.value)}
        onChange={(event) => {
          chosen.value = Number(event.currentTarget.value)
        }}
      >
        {pieces.map((piece, i) => (
          <option key={i} value={String(i)}>
            frame {numbers[i]}: {piece}
          </option>
        ))}
      </select>
      {more > 0 ? <span class="quiet"> and {formatCounted(more, 'frame')} more</span> : null}
    </>
  )
}

function Dump({ rows }: { rows: readonly DumpRow[] }) {
  return (
    <pre class="hex-rows">
      {rows.map(({ offset, runs, missing }) => (
        <div key={offset}>
          <span class="hex-offset">{offset}</span>
          {'  '}
          {runs.map((run, i) => (
            <>
              {i > 0 ? ' ' : ''}
              <span class={runClass(run)}>{run.hex}</span>
            </>
          ))}
          {'   '.repeat(missing)}
          {'  '}
          {runs.map((run) => (
            <span class={runClass(run)}>{run.text}</span>
          ))}
        </div>
      ))}
    </pre>
  )
}

function runClass({ isChanged, isMarked }: Run): string | undefined {
  return [isChanged && 'byte-changed', isMarked && 'byte-marked'].filter(Boolean).join(' ') || undefined
}

function lengthText({ lenBytes }: PageFrame, there: number): string {
  return there < lenBytes
    ? `the first ${formatCount(there)} of ${formatCounted(lenBytes, 'byte')} are on this page`
    : formatCounted(lenBytes, 'byte')
}

/** `byte 22`, `bytes 26 to 29`; where points differ, each. */
function placesText(ranges: readonly (ByteRange | null)[]): string {
  const texts = ranges.flatMap((range) => (range ? [rangeText(range)] : []))
  if (texts.length === 0) return 'it has no bytes of its own'
  return [...new Set(texts)].join(', elsewhere ')
}

function rangeText({ start, end }: ByteRange): string {
  return end - start === 1 ? `byte ${start}` : `bytes ${start} to ${end - 1}`
}

/** 16, or 8 where the window is narrow. */
function useBytesPerRow(): number {
  const isNarrow = useSignal(matchMedia(NARROW).matches)
  useEffect(() => {
    const query = matchMedia(NARROW)
    const changed = () => {
      isNarrow.value = query.matches
    }
    query.addEventListener('change', changed)
    return () => query.removeEventListener('change', changed)
  }, [isNarrow])
  return isNarrow.value ? 8 : 16
}
