import { type Html, html } from './html.ts'

/** The options of a run as a table, nested names joined by dots. What is undefined or empty says nothing, and is left out. */
export function configurationTable(config: Readonly<Record<string, unknown>>): Html {
  const entries = flatten(config, '')
  if (entries.length === 0) return html`<p>No options were recorded.</p>`
  return html`
<div class="scroll">
<table class="configuration">
  <caption class="hidden">Options of the run</caption>
  <thead class="hidden"><tr><th scope="col">Option</th><th scope="col">Value</th></tr></thead>
  <tbody>
    ${entries.map(([name, value]) => html`<tr><th scope="row">${name}</th><td>${value}</td></tr>`)}
  </tbody>
</table>
</div>`
}

function flatten(value: Readonly<Record<string, unknown>>, prefix: string): [name: string, value: string][] {
  return Object.entries(value).flatMap(([key, inner]) => {
    const name = prefix + key
    if (isPlainObject(inner)) return flatten(inner, `${name}.`)
    return isEmpty(inner) ? [] : [[name, spell(inner)]]
  })
}

const isEmpty = (value: unknown): boolean =>
  value === undefined || ((typeof value === 'string' || Array.isArray(value)) && value.length === 0)

function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && [Object.prototype, null].includes(Object.getPrototypeOf(value))
}

function spell(value: unknown): string {
  if (typeof value === 'string') return value
  if (Array.isArray(value) && value.every((item) => typeof item !== 'object')) return value.join(', ')
  return JSON.stringify(value) ?? String(value)
}
