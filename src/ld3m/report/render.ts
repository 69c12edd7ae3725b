import { counted } from '../../words.ts'
import { type AccuracyRow, accuracyRows, differenceOf, meanOverUnseen, toneOf } from './accuracy.ts'
import { accuracyChart } from './accuracy-chart.ts'
import { accuracyTable } from './accuracy-table.ts'
import { configurationTable } from './configuration.ts'
import { checkReportData, type ReportData } from './data.ts'
import { duration, percent, points, shortNumber } from './format.ts'
import { Html, html, NOTHING } from './html.ts'
import { imagesSection } from './images.ts'
import { lossSection } from './loss-chart.ts'
import { STYLE } from './style.ts'
import { useSection } from './use.ts'

/**
 * A distillation run as one HTML page that needs nothing else: images and charts are inside, it makes no request,
 * it follows the reader's light or dark setting and fits phones and paper. The same data give the same text.
 * @throws Ld3mError `option`, `shape` or `numeric` if the data do not fit each other; the message says which
 */
export function renderReport(data: ReportData): string {
  checkReportData(data)
  const rows = accuracyRows(data)
  const [count, channels, height, width] = data.images.final.shape as [number, number, number, number]
  const classes = data.classNames.length
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>${data.title}</title>
<style>${new Html(STYLE)}</style>
</head>
<body>
<main>
<header>
  <p class="eyebrow">Dataset distillation</p>
  <h1>${data.title}</h1>
  ${headline(rows, count)}
  <dl class="facts">
    ${fact('Synthetic set', `${counted(count, 'image')}, ${counted(classes, 'class', 'classes')}`)}
    ${fact('Image size', `${height} × ${width}, ${channels === 1 ? 'grey' : 'RGB'}`)}
    ${data.status === undefined ? NOTHING : fact('Status', data.status)}
    ${fact('Iterations', data.iterations.toLocaleString('en-US'))}
    ${fact('Time', duration(data.seconds))}
    ${data.studentLearningRate === undefined ? NOTHING : fact('Learned learning rate', shortNumber(data.studentLearningRate))}
    ${fact('Adapter', data.adapter)}
  </dl>
</header>
<section aria-labelledby="images">
  <h2 id="images">Images</h2>
  ${imagesSection(data)}
</section>
<section aria-labelledby="accuracy">
  <h2 id="accuracy">Accuracy</h2>
  ${
    rows.length > 0
      ? html`<p class="lead">Networks trained from scratch on the distilled images, and on as many random real ones,
  tested on ${tested(data)}.</p>
  ${accuracyTable(
    rows,
    rows.some(({ seen }) => seen),
  )}${accuracyChart(rows, 1 / classes)}`
      : html`<p>No networks were evaluated.</p>`
  }
</section>
<section aria-labelledby="loss">
  <h2 id="loss">Loss</h2>
  ${lossSection(data.loss)}
</section>
${data.file === undefined ? NOTHING : useSection(data.file, data.studentLearningRate)}
<section aria-labelledby="configuration">
  <h2 id="configuration">Configuration</h2>
  ${configurationTable(data.config)}
  ${data.evaluation ? html`<h3>Networks</h3>${configurationTable({ ...data.evaluation })}` : NOTHING}
</section>
</main>
</body>
</html>
`
  return page.text
}

const tested = ({ evaluation }: ReportData): string =>
  evaluation ? `${counted(evaluation.test.count, 'real image')} of ${evaluation.test.name}` : 'real images'

const fact = (name: string, value: string): Html => html`<div><dt>${name}</dt><dd>${value}</dd></div>`

/** The result in one line of figures: the first architecture with both accuracies, and the mean over unseen ones. */
function headline(rows: readonly AccuracyRow[], count: number): Html {
  const row = rows.find((found) => differenceOf(found))
  if (!row) return NOTHING
  const difference = differenceOf(row)!
  const mean = row.seen ? meanOverUnseen(rows) : undefined
  const of = mean && `Difference, mean of ${mean.count} unseen architectures`
  return html`
  <dl class="figures">
    ${figure('distilled', `${row.name} on ${counted(count, 'distilled image')}`, percent(row.distilled!.mean), '%')}
    ${figure('real', `${row.name} on ${counted(count, 'random real image')}`, percent(row.randomReal!.mean), '%')}
    ${figure(toneOf(difference), 'Difference', points(difference.value), 'points')}
    ${mean && of ? figure(toneOf(mean.difference), of, points(mean.difference.value), 'points') : NOTHING}
  </dl>`
}

const figure = (kind: string, label: string, value: string, unit: string): Html =>
  html`<div class="${kind}"><dt>${label}</dt><dd>${value}<small> ${unit}</small></dd></div>`
