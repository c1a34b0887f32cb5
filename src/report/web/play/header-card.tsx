/** The card: what the packet's headers say right now; what changes is struck out and replaced. */

import type { CardField, CardLayer } from './play-model.ts'

const FATES = { kept: '', new: 'put on', gone: 'taken off' } as const

export function HeaderCard({ layers }: { layers: readonly CardLayer[] }) {
  return (
    <div class="card">
      {layers.map((layer, i) => (
        <section key={i} class={`card-layer ${layer.fate}`} aria-label={layer.name}>
          <h4>
            {layer.name}
            {layer.fate === 'kept' ? null : <span class="fate"> {FATES[layer.fate]}</span>}
          </h4>
          <dl>
            {layer.fields.map((field, k) => (
              <Field key={k} field={field} />
            ))}
          </dl>
        </section>
      ))}
    </div>
  )
}

function Field({ field: { name, value, before, note, tone } }: { field: CardField }) {
  return (
    <div class={`card-field ${before === undefined ? '' : `changed tone-${tone}`}`} data-field={name}>
      <dt>{name}</dt>
      <dd>
        {before === undefined ? null : (
          <>
            <del>
              <span class="only-read">was </span>
              <bdi>{before}</bdi>
            </del>
            <span aria-hidden="true"> → </span>
          </>
        )}
        <Value isNew={before !== undefined} value={value} />
        {note === undefined ? null : <span class="card-note"> {note}</span>}
      </dd>
    </div>
  )
}

function Value({ isNew, value }: { isNew: boolean; value: string }) {
  return isNew ? (
    <ins>
      <span class="only-read">now </span>
      <bdi>{value}</bdi>
    </ins>
  ) : (
    <bdi class="value">{value}</bdi>
  )
}
