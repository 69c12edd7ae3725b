import { counted } from '../../words.ts'
import { shortNumber } from './format.ts'
import { type Html, html, NOTHING } from './html.ts'
import { linearScale, logScale, type Scale } from './scale.ts'

/** Losses spread over more than this factor are shown on a logarithmic axis. */
const LOG_FROM_FACTOR = 20

/** The section on the loss: curve, legend and a sentence that says the same in words. */
export function lossSection(loss: readonly number[]): Html {
  const finite = loss.filter(Number.isFinite)
  if (finite.length === 0) return html`<p>No loss was recorded.</p>`
  const window = smoothingWindow(loss.length)
  const smooth = movingMean(loss, window)
  const [first, last] = [smooth.find(Number.isFinite)!, smooth.findLast(Number.isFinite)!]
  const missing = loss.length - finite.length
  const words = `The loss went from ${shortNumber(first)} to ${shortNumber(last)} in ${counted(loss.length, 'iteration')}`
  const label = `Line chart of the loss at each iteration. ${words}.`
  return html`
<figure>
  <ul class="legend">
    ${window > 1 ? html`<li><span class="key line raw"></span>each iteration</li>` : NOTHING}
    <li><span class="key line distilled"></span>${window > 1 ? `mean of ${window} iterations` : 'each iteration'}</li>
  </ul>
  ${[936, 340].map((width) => chart(loss, smooth, width, label))}
  <figcaption>${words}${window > 1 ? ` (means of up to ${window})` : ''}; lowest ${shortNumber(min(finite))}.
  ${missing > 0 ? `${counted(missing, 'value was', 'values were')} not finite and left out.` : ''}</figcaption>
</figure>`
}

/** An odd number of iterations: about a fortieth of the run, at most 201. */
const smoothingWindow = (length: number) => Math.min(201, 2 * Math.round(length / 80) + 1)

/** The mean of the finite values around each one; NaN where there are none. The window shrinks at the ends. */
function movingMean(values: readonly number[], window: number): number[] {
  const reach = (window - 1) / 2
  return values.map((_, i) => {
    const around = values.slice(Math.max(0, i - reach), i + reach + 1).filter(Number.isFinite)
    return around.reduce((a, b) => a + b, 0) / around.length
  })
}

function chart(loss: readonly number[], smooth: readonly number[], width: number, label: string): Html {
  const height = width > 400 ? 360 : 240
  const [left, right, top, bottom] = [58, width - 20, 14, height - 44]
  const finite = loss.filter(Number.isFinite)
  const [low, high] = [min(finite), max(finite)]
  const logarithmic = low > 0 && high / low > LOG_FROM_FACTOR
  const y = logarithmic
    ? logScale([low, high], [bottom, top])
    : linearScale([low > 0 && low < high * 0.3 ? 0 : low, high], [bottom, top], { ticks: 5, fit: 'ticks' })
  const x = linearScale([1, loss.length], [left, right], { ticks: width / 110, fit: 'data', leastStep: 1 })
  return html`
<svg class="${width > 400 ? 'wide' : 'narrow'}" viewBox="0 0 ${width} ${height}" role="img" aria-label="${label}">
  ${y.ticks.map(
    ({ at, label }) => html`
  <line class="grid" x1="${left}" x2="${right}" y1="${round(at)}" y2="${round(at)}"/>
  <text class="tick" x="${left - 8}" y="${round(at)}" dy="0.32em" text-anchor="end">${label}</text>`,
  )}
  ${x.ticks.map(
    ({ at, label }) => html`
  <line class="axis" x1="${round(at)}" x2="${round(at)}" y1="${bottom}" y2="${bottom + 5}"/>
  <text class="tick" x="${round(at)}" y="${bottom + 19}" text-anchor="middle">${label}</text>`,
  )}
  <line class="axis" x1="${left}" x2="${right}" y1="${bottom}" y2="${bottom}"/>
  <text class="title" x="${(left + right) / 2}" y="${height - 5}" text-anchor="middle">iteration</text>
  <text class="title" transform="translate(12 ${(top + bottom) / 2}) rotate(-90)" text-anchor="middle">${
    logarithmic ? 'loss, log scale' : 'loss'
  }</text>
  ${smooth.length === 1 ? NOTHING : html`<path class="curve raw" d="${path(loss, x, y, right - left)}"/>`}
  <path class="curve distilled" d="${path(smooth, x, y, right - left)}"/>
  ${smooth.length === 1 ? html`<circle class="dot" cx="${round(x.at(1))}" cy="${round(y.at(smooth[0]!))}" r="3"/>` : NOTHING}
</svg>`
}

/** The curve, with a gap where values are not finite. More values than pixels keep the extremes of each pixel. */
function path(values: readonly number[], x: Scale, y: Scale, pixels: number): string {
  let commands = ''
  let pen: 'M' | 'L' = 'M'
  for (const i of shownIndices(values, pixels)) {
    const value = values[i]!
    if (Number.isFinite(value)) commands += `${pen}${round(x.at(i + 1))} ${round(y.at(value))}`
    pen = Number.isFinite(value) ? 'L' : 'M'
  }
  return commands
}

function shownIndices(values: readonly number[], pixels: number): number[] {
  if (values.length <= 2 * pixels) return [...values.keys()]
  const shown: number[] = []
  for (let pixel = 0; pixel < pixels; pixel++) {
    const begin = Math.floor((pixel * values.length) / pixels)
    const end = Math.floor(((pixel + 1) * values.length) / pixels)
    let [lowest, highest] = [begin, begin]
    for (let i = begin; i < end; i++) {
      // A value that is not finite compares as false and would hide; a NaN must stay a gap.
      if (!Number.isFinite(values[lowest]) || values[i]! < values[lowest]!) lowest = i
      if (!Number.isFinite(values[highest]) || values[i]! > values[highest]!) highest = i
    }
    shown.push(...new Set([Math.min(lowest, highest), Math.max(lowest, highest)]))
  }
  return shown
}

const round = (pixels: number) => Math.round(pixels * 10) / 10
const min = (values: readonly number[]) => values.reduce((a, b) => Math.min(a, b))
const max = (values: readonly number[]) => values.reduce((a, b) => Math.max(a, b))
