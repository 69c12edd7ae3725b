import { imageGrid } from '../../io/index.ts'
import type { HostTensor } from '../../models/index.ts'
import { counted } from '../../words.ts'
import type { ReportData } from './data.ts'
import { type Html, html, NOTHING } from './html.ts'

/** Images of a class shown on either side, and of all classes; more would make a page that nobody can open. */
const SHOWN_PER_CLASS = 10
const SHOWN = 1000
/** Bytes of pixels on both sides together: encoding them takes seconds, and a run's report is made at every save. */
const SHOWN_BYTES = 24 * 2 ** 20

/** Smaller images are enlarged as sharp squares, larger ones smoothly. */
const PIXELATED_UP_TO = 64

/** For each class, its initial and its distilled images beside each other: of many, the first. */
export function imagesSection({ images, classNames }: ReportData): Html {
  const classes = indicesByLabel(images.labels, classNames).filter(({ indices }) => indices.length > 0)
  const most = classes.reduce((most, { indices }) => Math.max(most, indices.length), 0)
  const [, channels, height, width] = images.final.shape as [number, number, number, number]
  const shown = shownOf(classes.length, channels * height * width)
  const columns = Math.min(most, shown.perClass)
  const size = columns === 1 ? 'single' : columns <= 4 ? 'few' : 'many'
  const left = [
    ...(most > shown.perClass ? [`${firstOf(shown.perClass)} ${counted(most, 'image')} a class`] : []),
    ...(classes.length > shown.classes
      ? [`${firstOf(shown.classes)} ${counted(classes.length, 'class', 'classes')}`]
      : []),
  ]
  return html`
<ul class="classes ${size}">
  ${classes.slice(0, shown.classes).map(({ name, indices }) => {
    const first = indices.slice(0, shown.perClass)
    return html`
  <li>
    <h3>${name}</h3>
    <div class="pair">
      ${panel('Initial', images.initial, first, name)}
      ${panel('Distilled', images.final, first, name)}
    </div>
  </li>`
  })}
</ul>
${left.length > 0 ? html`<p class="note">The ${left.join(', of the ')}.</p>` : NOTHING}`
}

/** How much is shown of `classes` classes with images of so many bytes: fewer images of each before fewer classes. */
function shownOf(classes: number, imageBytes: number): { perClass: number; classes: number } {
  const most = Math.max(1, Math.min(SHOWN, Math.floor(SHOWN_BYTES / (2 * imageBytes))))
  const perClass = Math.max(1, Math.floor(most / classes))
  return { perClass: Math.min(SHOWN_PER_CLASS, perClass), classes: Math.min(classes, most) }
}

const firstOf = (count: number): string => (count === 1 ? 'first of' : `first ${count.toLocaleString('en-US')} of`)

function indicesByLabel(labels: ArrayLike<number>, classNames: readonly string[]) {
  const classes = classNames.map((name) => ({ name, indices: [] as number[] }))
  for (let i = 0; i < labels.length; i++) classes[labels[i]!]!.indices.push(i)
  return classes
}

function panel(title: string, array: HostTensor, indices: readonly number[], className: string): Html {
  const [, channels, height, width] = array.shape as [number, number, number, number]
  const size = channels * height * width
  const columns = indices.length > 4 ? 5 : Math.ceil(Math.sqrt(indices.length))
  const rendering = Math.max(height, width) <= PIXELATED_UP_TO ? 'pixelated' : 'smooth'
  return html`
      <figure>
        <div class="images ${rendering}" style="grid-template-columns: repeat(${columns}, 1fr)">
          ${indices.map((index, k) => {
            const png = imageGrid({
              images: array.data.subarray(index * size, (index + 1) * size),
              shape: [1, channels, height, width],
              padding: 0,
            })
            const which = indices.length > 1 ? ` ${k + 1}` : ''
            return html`<img src="data:image/png;base64,${base64(png)}" width="${width}" height="${height}" alt="${title} image${which} of class ${className}">`
          })}
        </div>
        <figcaption>${title}</figcaption>
      </figure>`
}

function base64(bytes: Uint8Array): string {
  let binary = ''
  // Spreading all bytes into one call would overflow the stack for large images.
  for (let at = 0; at < bytes.length; at += 0x8000) binary += String.fromCharCode(...bytes.subarray(at, at + 0x8000))
  return btoa(binary)
}
