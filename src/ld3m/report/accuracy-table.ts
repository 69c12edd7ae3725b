import type { Accuracy } from '../accuracy.ts'
import { type AccuracyRow, type Difference, differenceOf, meanOverUnseen, toneOf } from './accuracy.ts'
import { accuracyParts, percent, points } from './format.ts'
import { type Html, html, NOTHING } from './html.ts'

/** Accuracy of each architecture in percent: mean ± standard deviation, the difference in points, and runs. */
export function accuracyTable(rows: readonly AccuracyRow[], hasSeen: boolean): Html {
  const mean = meanOverUnseen(rows)
  const whole = rows.some((row) => row.wholeDataset)
  return html`
<div class="scroll">
<table class="accuracies">
  <caption>Test accuracy in percent, mean ± standard deviation over several trainings; difference in percentage
  points, in colour where both deviations are known and it is larger than them together.</caption>
  <thead>
    <tr><th scope="col">Architecture</th><th scope="col">Distilled</th><th scope="col">Random real</th>
    <th scope="col">Difference</th>${whole ? html`<th scope="col">Whole dataset</th>` : NOTHING}<th scope="col">Trainings</th></tr>
  </thead>
  <tbody>
    ${rows.map((row) => {
      const { name, seen, distilled, randomReal, wholeDataset } = row
      return html`
    <tr>
      <th scope="row">${name}${seen ? html` <span class="tag">seen</span>` : NOTHING}</th>
      <td class="strong">${spread(distilled)}</td>
      <td>${spread(randomReal)}</td>
      ${differenceCell(differenceOf(row))}
      ${whole ? html`<td>${spread(wholeDataset)}</td>` : NOTHING}
      <td class="muted">${distilled?.runs.length ?? '–'} / ${randomReal?.runs.length ?? '–'}</td>
    </tr>`
    })}
  </tbody>
  ${
    mean
      ? html`
  <tfoot>
    <tr>
      <th scope="row">Mean of ${mean.count}${hasSeen ? ' unseen' : ''}</th>
      <td class="strong">${percent(mean.distilled)}</td>
      <td>${percent(mean.randomReal)}</td>
      ${differenceCell(mean.difference)}
      ${whole ? html`<td></td>` : NOTHING}
      <td></td>
    </tr>
  </tfoot>`
      : NOTHING
  }
</table>
</div>`
}

function spread(accuracy: Accuracy | undefined): Html {
  if (!accuracy) return html`–`
  const [mean, deviation] = accuracyParts(accuracy)
  return deviation ? html`${mean} <span class="muted">${deviation}</span>` : html`${mean}`
}

const differenceCell = (difference: Difference | undefined): Html =>
  difference ? html`<td class="${toneOf(difference)}">${points(difference.value)}</td>` : html`<td>–</td>`
