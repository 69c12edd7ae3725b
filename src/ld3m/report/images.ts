import { imageGrid } from '../../io/index.ts'
import type { HostTensor } from '../../models/index.ts'
import { counted } from '../../words.ts'
import type { ReportData } from './data.ts'
import { type Html, html, NOTHING } from './html.ts'

/** Images of a class shown on either side; more would make files of many megabytes. */
const SHOWN_PER_CLASS = 10

/** Smaller images are enlarged as sharp squares, larger ones smoothly. */
const PIXELATED_UP_TO = 64

/** For each class, its initial and its distilled images beside each other. */
export function imagesSection({ images, classNames }: ReportData): Html {
  const classes = classNames.map((name, label) => ({ name, indices: indicesOf(images.labels, label) }))
  const most = classes.reduce((most, { indices }) => Math.max(most, indices.length), 0)
  const size = most === 1 ? 'single' : most <= 4 ? 'few' : 'many'
  return html`
<ul class="classes ${size}">
  ${classes
    .filter(({ indices }) => indices.length > 0)
    .map(({ name, indices }) => {
      const shown = indices.slice(0, SHOWN_PER_CLASS)
      return html`
  <li>
    <h3>${name}</h3>
    <div class="pair">
      ${panel('Initial', images.initial, shown, name)}
      ${panel('Distilled', images.final, shown, name)}
    </div>
  </li>`
    })}
</ul>
${most > SHOWN_PER_CLASS ? html`<p class="note">The first ${SHOWN_PER_CLASS} of ${counted(most, 'image')} a class.</p>` : NOTHING}`
}

function indicesOf(labels: ArrayLike<number>, label: number): number[] {
  return Array.from(labels).flatMap((other, i) => (other === label ? [i] : []))
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
