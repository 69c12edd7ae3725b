import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodePng } from '../../src/io/index.ts'
import { type ReportData, renderReport } from '../../src/ld3m/report/index.ts'
import { openRunDirectory } from '../../src/node/files.ts'
import { accuracyOf, sampleReport } from './sample.ts'

const VOID = new Set(['meta', 'img', '!doctype'])

/** Throws unless every element that is opened is closed, in order. */
function expectBalanced(page: string): void {
  const open: string[] = []
  for (const [, closing, name, rest] of page.matchAll(/<(\/?)([a-zA-Z!][a-zA-Z0-9]*)((?:"[^"]*"|[^">])*)>/g)) {
    if (closing) expect(open.pop()).toBe(name)
    else if (!VOID.has(name!) && !rest!.endsWith('/')) open.push(name!)
  }
  expect(open).toEqual([])
}

/** What a reader sees: the text without markup and style. */
const textOf = (page: string) =>
  page
    .replace(/<style>.*?<\/style>/s, '')
    .replace(/<[^>]*>/g, ' ')
    .replace(/&#39;/g, "'")
    .replace(/&amp;/g, '&')
    .replace(/\s+/g, ' ')

const pixelsOf = (page: string) =>
  [...page.matchAll(/src="data:image\/png;base64,([^"]*)"/g)].map(([, base64]) =>
    decodePng(Buffer.from(base64!, 'base64')),
  )

const small = (over: Partial<ReportData> = {}) => sampleReport({ size: 4, ...over })

describe('renderReport', () => {
  test('tells the run: title, adapter, time, iterations, sizes and options', () => {
    const text = textOf(renderReport(small()))
    expect(text).toContain('Fashion-MNIST, gradient matching, 1 image per class')
    expect(text).toContain('NVIDIA H100 80GB HBM3')
    expect(text).toContain('25 min 23 s')
    expect(text).toContain('10 images, 10 classes')
    expect(text).toContain('4 × 4, grey')
    expect(text).toContain('learningRate.latents 10')
    expect(text).toContain('augmentation color, crop, cutout, flip, scale, rotate')
  })

  test('colours a difference that is larger than both deviations together, and no other', () => {
    const cells = (distilled: number[], randomReal: number[]) => {
      const of = (runs: number[]) => ({ ConvNet: accuracyOf(runs), AlexNet: accuracyOf(runs), ViT: accuracyOf(runs) })
      const page = renderReport(small({ accuracy: { distilled: of(distilled), randomReal: of(randomReal) } }))
      const [row, , , mean] = [...page.matchAll(/<td class="(\w*)">[+−]/g)].map(([, tone]) => tone)
      const figures = [...page.matchAll(/<div class="(\w*)"><dt>Difference/g)].map(([, tone]) => tone)
      // The table's row, its mean of unseen ones, and both in figures, are of one mind.
      return new Set([row, mean, ...figures])
    }
    expect(cells([0.7, 0.72], [0.5, 0.52])).toEqual(new Set(['better']))
    expect(cells([0.5, 0.52], [0.7, 0.72])).toEqual(new Set(['worse']))
    expect(cells([0.5, 0.7], [0.5, 0.6])).toEqual(new Set(['']))
    // Nothing is known of how much single trainings differ.
    expect(cells([0.9], [0.5])).toEqual(new Set(['']))
    expect(cells([0.9, 0.9], [0.5])).toEqual(new Set(['']))
  })

  test('tells how far a run came, or why it ended early', () => {
    expect(textOf(renderReport(small({ status: 'aborted after 3 of 9 iterations' })))).toContain(
      'Status aborted after 3 of 9 iterations',
    )
    expect(textOf(renderReport(small()))).not.toContain('Status')
  })

  test('shows the initial and the distilled image of each class, pixel for pixel, with alternative text', () => {
    const data = small({ classNames: ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'tunic'] })
    const page = renderReport(data)
    const images = pixelsOf(page)
    expect(images).toHaveLength(20)
    images.forEach((image, i) => {
      const source = i % 2 === 0 ? data.images.initial : data.images.final
      const expected = source.data.slice(Math.floor(i / 2) * 16, Math.floor(i / 2) * 16 + 16)
      expect([...image.data]).toEqual([...expected].map((value) => Math.round(value * 255)))
    })
    expect(page).toContain('alt="Initial image of class tunic"')
    expect(page).toContain('alt="Distilled image of class tunic"')
    expect(page.match(/<img/g)).toHaveLength(page.match(/alt="/g)!.length)
  })

  test('shows at most ten images a class, and says so', () => {
    const page = renderReport(sampleReport({ imagesPerClass: 12, channels: 3, size: 2 }))
    expect(pixelsOf(page)).toHaveLength(200)
    expect(textOf(page)).toContain('The first 10 of 12 images a class.')
    expect(textOf(renderReport(small()))).not.toContain('The first')
  })

  test('shows fewer images of many classes, then fewer classes, and says so', () => {
    const many = (classes: number, imagesPerClass: number, size: number) => {
      const shape = [classes * imagesPerClass, 1, size, size]
      const images = { shape, data: new Float32Array(shape.reduce((a, b) => a * b)) }
      const labels = Array.from({ length: classes * imagesPerClass }, (_, i) => i % classes)
      const classNames = Array.from({ length: classes }, (_, k) => `class ${k}`)
      const page = renderReport(small({ classNames, images: { initial: images, final: images, labels } }))
      return [pixelsOf(page).length, textOf(page).match(/The first[^.]*\./)?.[0]]
    }
    expect(many(400, 3, 1)).toEqual([2 * 400 * 2, 'The first 2 of 3 images a class.'])
    expect(many(1100, 2, 1)).toEqual([2 * 1000, 'The first of 2 images a class, of the first 1,000 of 1,100 classes.'])
    expect(many(1001, 1, 1)).toEqual([2 * 1000, 'The first 1,000 of 1,001 classes.'])
    // No more than 24 MiB of pixels.
    expect(many(4, 4, 1024)).toEqual([2 * 4 * 3, 'The first 3 of 4 images a class.'])
  })

  test('gives accuracies in percent with differences in points, the seen architecture first and marked', () => {
    const accuracy = {
      distilled: { AlexNet: accuracyOf([0.5, 0.52]), ConvNet: accuracyOf([0.7, 0.72]), ViT: accuracyOf([0.3]) },
      randomReal: { ConvNet: accuracyOf([0.5]), AlexNet: accuracyOf([0.5512]), ViT: accuracyOf([0.3]) },
    }
    const text = textOf(renderReport(small({ accuracy })))
    expect(text).toContain('ConvNet seen 71.0 ± 1.4 50.0 +21.0 2 / 1 AlexNet 51.0 ± 1.4 55.1 −4.1 2 / 1')
    expect(text).toContain('ViT 30.0 30.0 0.0 1 / 1')
    expect(text).toContain('Mean of 2 unseen 40.5 42.6 −2.1')
    expect(text).toMatch(/in colour where both deviations are known and it is larger than them together/)
    expect(text).toMatch(/71\.0 % ConvNet on 10 distilled images|ConvNet on 10 distilled images 71\.0 %/)
  })

  test('leaves out options that are undefined or empty', () => {
    const config = {
      objective: { name: 'MTT', batch: undefined, legacy: [], note: '', more: {} },
      seed: 0,
      chunk: null,
    }
    const text = textOf(renderReport(small({ config })))
    expect(text).toMatch(/Option Value objective\.name MTT seed 0 chunk null/)
    expect(text).not.toMatch(/undefined|objective\.(batch|legacy|note|more)/)
  })

  test('leaves out what was not measured', () => {
    const only = { distilled: { ConvNet: accuracyOf([0.7]) }, randomReal: {} }
    expect(textOf(renderReport(small({ accuracy: only })))).toContain('ConvNet seen 70.0 – – 1 / –')
    const none = renderReport(small({ accuracy: { distilled: {}, randomReal: {} }, loss: [], config: {} }))
    expect(textOf(none)).toContain('No networks were evaluated.')
    expect(textOf(none)).toContain('No loss was recorded.')
    expect(textOf(none)).toContain('No options were recorded.')
    expect(none).not.toContain('<svg')
    expectBalanced(none)
  })

  test('tells how to load the set where a file is named', () => {
    expect(renderReport(sampleReport())).not.toContain('load_file')
    const page = renderReport(sampleReport({ file: 'distilled.safetensors' }))
    expect(page).toContain('data = load_file(&quot;distilled.safetensors&quot;)')
  })

  test('tells the learning rate that was learned, and where the file has it', () => {
    const text = textOf(renderReport({ ...small(), studentLearningRate: 0.0308, file: 'x.safetensors' }))
    expect(text).toMatch(/Learned learning rate\s*0\.0308/)
    expect(text).toContain('student_learning_rate')
    expect(textOf(renderReport({ ...small(), file: 'x.safetensors' }))).not.toMatch(/learning.rate/)
  })

  test('describes the loss in words and draws it raw and smoothed', () => {
    const page = renderReport(small({ loss: Array.from({ length: 400 }, (_, i) => 100 - i / 8) }))
    expect(textOf(page)).toMatch(
      /loss went from 99\.69 to 50\.44 in 400 iterations \(means of up to 11\); lowest 50\.13/,
    )
    expect(page.match(/class="curve raw"/g)).toHaveLength(2)
    expect(page.match(/class="curve distilled"/g)).toHaveLength(2)
  })

  test('uses a logarithmic axis for a loss that falls by orders of magnitude', () => {
    const falling = Array.from({ length: 50 }, (_, i) => 1000 * 0.8 ** i)
    expect(textOf(renderReport(small({ loss: falling })))).toContain('loss, log scale')
    expect(textOf(renderReport(small({ loss: falling.map((value) => value - 1) })))).not.toContain('log scale')
  })

  test('labels the ticks of a loss that hardly changes by as many digits as tell them apart', () => {
    const labelsOf = (low: number, high: number) => {
      const loss = Array.from({ length: 51 }, (_, i) => high - (i / 50) * (high - low))
      const page = renderReport(small({ loss, accuracy: { distilled: {}, randomReal: {} } }))
      const [chart] = page.match(/<svg class="wide".*?<\/svg>/s) as [string]
      return [...chart.matchAll(/text-anchor="end">([^<]+)</g)].map(([, label]) => label)
    }
    expect(labelsOf(0.0123, 0.01235)).toEqual(['1.230e-2', '1.231e-2', '1.232e-2', '1.233e-2', '1.234e-2', '1.235e-2'])
    for (const [low, high] of [
      [1e-7, 1.00001e-7],
      [2_000_000, 2_000_010],
      [3, 3.00002],
    ] as const) {
      const labels = labelsOf(low, high)
      expect(labels.length).toBeGreaterThan(3)
      expect(new Set(labels).size).toBe(labels.length)
    }
  })

  test('leaves gaps where the loss is not finite, and counts them', () => {
    const text = renderReport(small({ loss: [3, 2, Number.NaN, 1, Number.POSITIVE_INFINITY] }))
    expect(textOf(text)).toContain('2 values were not finite and left out.')
    expect(text).not.toMatch(/NaN|Infinity/)
    expect(text).toMatch(/class="curve distilled" d="M[^"LM]*L[^"LM]*M[^"LM]*"/)
  })

  test('draws any loss, few values or many, inside the chart', () => {
    const values = fc.array(fc.float({ noNaN: false }), { maxLength: 30 })
    fc.assert(
      fc.property(values, fc.constantFrom(1, 7, 101), (some, times) => {
        const page = renderReport(small({ loss: Array.from({ length: times }, () => some).flat() }))
        expect(page.match(/NaN|Infinity|undefined/)).toBeNull()
        for (const [, width, svg] of page.matchAll(/viewBox="0 0 (\d+) \d+"(.*?)<\/svg>/gs)) {
          for (const [, commands] of svg!.matchAll(/class="curve [a-z]+" d="([^"]*)"/g)) {
            const numbers = (commands!.match(/-?\d+(\.\d+)?/g) ?? []).map(Number)
            expect(numbers.filter((number) => number < 0 || number > Number(width))).toEqual([])
          }
        }
      }),
      { numRuns: 60 },
    )
  })

  test('keeps the extremes of a long loss', () => {
    const loss = Array.from({ length: 20_000 }, (_, i) => (i === 12_345 ? 9 : 5))
    const page = renderReport(small({ loss }))
    const raw = page.match(/class="curve raw" d="([^"]*)"/)![1]!
    expect(new Set(raw.match(/ [\d.]+/g)).size).toBe(2)
    expect(raw.length).toBeLessThan(30_000)
  })

  test('escapes every text it is given', () => {
    const evil = `</style><script>alert("x")</script><img src=x onerror='y'>&amp;`
    const page = renderReport(
      small({
        title: evil,
        adapter: evil,
        config: { [evil]: evil, list: [evil], nested: { inner: { [evil]: null } } },
        classNames: Array.from({ length: 10 }, (_, i) => `${evil}${i}`),
        accuracy: { distilled: { [evil]: accuracyOf([0.5]) }, randomReal: { [evil]: accuracyOf([0.4]) } },
        seenArchitecture: evil,
      }),
    )
    expectBalanced(page)
    expect(page).not.toMatch(/<script|<img src=x|onerror='/)
    expect(page).toContain(
      '&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;&lt;img src=x onerror=&#39;y&#39;&gt;&amp;amp;',
    )
  })

  test('has balanced markup for any texts', () => {
    const text = fc.string({ unit: fc.constantFrom('<', '>', '"', "'", '&', '/', '-', 'a', ' ', '`', '$', '{') })
    fc.assert(
      fc.property(text, text, text, (title, adapter, option) => {
        expectBalanced(renderReport(small({ title, adapter, config: { [option]: option }, loss: [] })))
      }),
      { numRuns: 50 },
    )
  })

  test('asks nothing of any other place, and forbids it', () => {
    const page = renderReport(small())
    const withoutImages = page.replace(/src="data:image\/png;base64,[^"]*"/g, '')
    expect(withoutImages.match(/src=|href=|https?:|\/\/|@import|url\(/)).toBeNull()
    expect(page).toContain(`content="default-src 'none'; img-src data:; style-src 'unsafe-inline'"`)
  })

  test('is a page with a language, headings, a table with headers, and named charts, in light and dark', () => {
    const page = renderReport(small())
    expect(page).toMatch(/^<!doctype html>\n<html lang="en">/)
    expect(page.match(/<h1>/g)).toHaveLength(1)
    expect(page).toMatch(/<caption>Test accuracy in percent/)
    expect(page.match(/<th scope="row">/g)!.length).toBeGreaterThan(5)
    expect(page.match(/<svg/g)).toHaveLength(page.match(/<svg[^>]* role="img" aria-label="[^"]+"/g)!.length)
    expect(page).toContain('prefers-color-scheme: dark')
    expectBalanced(page)
  })

  test('is the same text for the same data', () => {
    expect(renderReport(small())).toBe(renderReport(small()))
  })

  test('can be written into a run directory', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'ld3m-report-'))
    const run = await openRunDirectory(folder)
    const page = renderReport(sampleReport())
    await run.writeHtml('report.html', page)
    expect(await readFile(run.pathOf('report.html'), 'utf8')).toBe(page)
    await rm(folder, { recursive: true })
  })

  const images = small().images
  test.each<[string, Partial<ReportData>, string, RegExp]>([
    ['negative seconds', { seconds: -1 }, 'option', /seconds is -1/],
    ['an unknown field', { tittle: 'x' } as object, 'option', /unknown option 'tittle'/],
    [
      'images of two shapes',
      { images: { ...images, final: sampleReport({ size: 2 }).images.final } },
      'shape',
      /of one shape/,
    ],
    [
      'images that do not fit their shape',
      { images: { ...images, final: { shape: [10, 1, 4, 5], data: images.final.data } } },
      'shape',
      /\[10, 1, 4, 5\] and 160 values/,
    ],
    ['too few labels', { images: { ...images, labels: [0] } }, 'shape', /10 images, but 1 labels/],
    ['a label without a name', { classNames: ['only'] }, 'option', /label 1 has no class name/],
    [
      'pixels that are not finite',
      { images: { ...images, initial: { ...images.initial, data: images.initial.data.map(() => Number.NaN) } } },
      'numeric',
      /initial images hold NaN/,
    ],
    [
      'accuracies in percent',
      { accuracy: { distilled: { ConvNet: accuracyOf([71]) }, randomReal: {} } },
      'numeric',
      /distilled 'ConvNet' has mean 71.*fractions from 0 to 1/,
    ],
    ['options that are not plain data', { config: { seed: 3n } }, 'option', /config is not plain data/],
  ])('refuses %s', (_, over, code, message) => {
    expect(() => renderReport(small(over))).toThrow(message)
    expect(() => renderReport(small(over))).toThrow(expect.objectContaining({ code }))
  })
})
