import type { Accuracy } from '../accuracy.ts'
import type { AccuracyRow } from './accuracy.ts'
import { percent } from './format.ts'
import { type Html, html, NOTHING } from './html.ts'
import { linearScale, type Scale } from './scale.ts'

const BAR = 20
const NAME = 24
const ROW_GAP = 16

/**
 * Bars of each architecture's mean accuracy with whiskers of one standard deviation and a dot for each training.
 * @param chance accuracy of guessing, drawn as a line
 */
export function accuracyChart(rows: readonly AccuracyRow[], chance: number): Html {
  const spoken = rows.map(({ name, distilled, randomReal }) => {
    const parts = [
      distilled && `distilled ${percent(distilled.mean)}`,
      randomReal && `random real ${percent(randomReal.mean)}`,
    ]
    return `${name}: ${parts.filter(Boolean).join(', ')}`
  })
  const label = `Bar chart of test accuracy in percent. ${spoken.join('; ')}. Chance is ${percent(chance)}.`
  return html`
<figure>
  <ul class="legend">
    <li><span class="key distilled"></span>distilled</li>
    <li><span class="key real"></span>random real</li>
    <li><span class="key training"></span>one training</li>
    <li><span class="key chance"></span>chance</li>
  </ul>
  ${[936, 340].map((width) => chart(rows, chance, width, label))}
</figure>`
}

function chart(rows: readonly AccuracyRow[], chance: number, width: number, label: string): Html {
  const [left, right, top] = [1, width - 52, 4]
  const highest = Math.max(chance, ...rows.flatMap((row) => [row.distilled, row.randomReal]).map(reach))
  const x = linearScale([0, Math.min(100, highest * 100)], [left, right], { ticks: 1.5 + width / 100, fit: 'ticks' })
  const chanceX = round(x.at(chance * 100))
  const rowHeight = NAME + 2 * BAR + 3 + ROW_GAP
  const bottom = top + rows.length * rowHeight
  return html`
<svg class="${width > 400 ? 'wide' : 'narrow'}" viewBox="0 0 ${width} ${bottom + 44}" role="img" aria-label="${label}">
  ${x.ticks.map(
    ({ at, label }) => html`
  <line class="grid" x1="${round(at)}" x2="${round(at)}" y1="${top}" y2="${bottom}"/>
  <text class="tick" x="${round(at)}" y="${bottom + 17}" text-anchor="${at === left ? 'start' : 'middle'}">${label}</text>`,
  )}
  <text class="title" x="${(left + right) / 2}" y="${bottom + 37}" text-anchor="middle">test accuracy, %</text>
  ${rows.map((row, i) => {
    const y = top + i * rowHeight
    return html`
  <text class="name" x="${left}" y="${y + 16}">${row.name}${row.seen ? html`<tspan class="tick"> · seen</tspan>` : NOTHING}</text>
  ${bar('distilled', row.distilled, x, y + NAME)}
  ${bar('real', row.randomReal, x, y + NAME + BAR + 3)}
  <line class="chance" x1="${chanceX}" x2="${chanceX}" y1="${y + NAME - 4}" y2="${y + NAME + 2 * BAR + 7}"/>`
  })}
  <line class="axis" x1="${left}" x2="${left}" y1="${top}" y2="${bottom}"/>
</svg>`
}

function bar(set: 'distilled' | 'real', accuracy: Accuracy | undefined, x: Scale, y: number): Html {
  if (!accuracy) return NOTHING
  const { mean, std, runs } = accuracy
  // Whisker and dots each have a line of their own, so that neither hides the other.
  const [whiskerY, dotsY] = [y + 6, y + 14]
  const [low, high] = [Math.max(0, mean - std), Math.min(1, mean + std)].map((value) => round(x.at(value * 100)))
  const end = round(x.at(mean * 100))
  const start = round(x.at(0))
  return html`
  <rect class="bar ${set}" x="${start}" y="${y}" width="${round(end - start)}" height="${BAR}"/>
  ${runs.length > 1 ? runs.map((run, i) => dot(run, i, x, dotsY)) : NOTHING}
  ${std > 0 ? html`<path class="whisker" d="M${low!} ${whiskerY}H${high!}M${low!} ${whiskerY - 3}v6M${high!} ${whiskerY - 3}v6"/>` : NOTHING}
  <text class="value" x="${round(x.at(reach(accuracy) * 100)) + 8}" y="${y + BAR / 2}" dy="0.35em">${percent(mean)}</text>`
}

const dot = (run: number, i: number, x: Scale, y: number): Html =>
  html`<circle class="run" cx="${round(x.at(run * 100))}" cy="${y}" r="2.6"><title>training ${i + 1}: ${percent(run)} %</title></circle>`

/** The right end of what a bar draws, as a fraction. */
function reach(accuracy: Accuracy | undefined): number {
  return accuracy ? Math.max(Math.min(1, accuracy.mean + accuracy.std), ...accuracy.runs) : 0
}

const round = (pixels: number) => Math.round(pixels * 10) / 10
