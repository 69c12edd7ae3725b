/** Markup that is safe to insert as it is; only `html` makes it. */
export class Html {
  constructor(readonly text: string) {}
}

export type HtmlPart = Html | string | number | readonly HtmlPart[]

/** A template tag for HTML and SVG: strings and numbers are escaped, nested `Html` is inserted, arrays are joined. */
export function html(strings: TemplateStringsArray, ...parts: readonly HtmlPart[]): Html {
  return new Html(strings.map((text, i) => (i === 0 ? text : render(parts[i - 1]!) + text)).join(''))
}

/** Nothing, for a part that is left out. */
export const NOTHING = new Html('')

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

function render(part: HtmlPart): string {
  if (part instanceof Html) return part.text
  if (Array.isArray(part)) return part.map(render).join('')
  return String(part).replace(/[&<>"']/g, (character) => ESCAPES[character]!)
}
