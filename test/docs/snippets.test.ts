// What the documents show must compile, run, and be there.
import { execFile } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import ts from 'typescript'
import { describe, expect, test } from 'vitest'

const documents = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', ...readdirSync('docs').flatMap(markdown)]

function markdown(name: string): string[] {
  return name.endsWith('.md') ? [join('docs', name)] : []
}

const textOf = (document: string): string => readFileSync(document, 'utf8')

const snippetsOf = (document: string): string[] =>
  [...textOf(document).matchAll(/^```ts\n(.*?)^```$/gms)].map((match) => match[1] as string)

/** Compiles texts as if they were files of the repository, and returns the errors. */
function compile(texts: ReadonlyMap<string, string>): string[] {
  const { config } = ts.readConfigFile('tsconfig.json', ts.sys.readFile)
  const { options } = ts.parseJsonConfigFileContent({ ...config, files: [], include: [] }, ts.sys, process.cwd())
  // What a reader's own project has: strict, but destructured arrays hold what was asked for.
  const host = ts.createCompilerHost({ ...options, noUncheckedIndexedAccess: false })
  const { getSourceFile, fileExists, readFile } = host
  host.fileExists = (path) => texts.has(path) || fileExists(path)
  host.readFile = (path) => texts.get(path) ?? readFile(path)
  host.getSourceFile = (path, target) => {
    const text = texts.get(path)
    return text === undefined ? getSourceFile(path, target) : ts.createSourceFile(path, text, target)
  }
  const program = ts.createProgram({
    rootNames: [resolve('wgsl.d.ts'), ...texts.keys()],
    options: { ...options, noUncheckedIndexedAccess: false },
    host,
  })
  return [...texts.keys()].flatMap((path) => {
    const file = program.getSourceFile(path)
    return [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)].map(
      ({ messageText }) => `${path}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`,
    )
  })
}

/** What a document's snippet that has `phrase` in it prints. */
async function output(document: string, phrase: string): Promise<string> {
  const snippet = snippetsOf(document).find((text) => text.includes(phrase)) as string
  const file = `.cache/snippet-${process.pid}.ts`
  await mkdir('.cache', { recursive: true })
  await writeFile(file, snippet)
  try {
    const args = ['--import', './scripts/register.mjs', file]
    return (await promisify(execFile)(process.execPath, args, { timeout: 60_000 })).stdout
  } finally {
    await rm(file)
  }
}

describe('the documents', () => {
  test('show TypeScript that compiles', () => {
    const texts = documents.flatMap((document) =>
      snippetsOf(document).map((text, i) => [resolve(`${document}-${i}.ts`), text] as const),
    )
    expect(texts.length).toBeGreaterThan(2)
    expect(compile(new Map(texts))).toEqual([])
  })

  test('show a second-order gradient that comes out as they say', async () => {
    expect(await output('README.md', 'createGraph')).toBe('Float32Array(3) [ 2, 4, 6 ]\n')
  })

  test('show a training loop that learns what they say', async () => {
    const lines = (await output('README.md', 'new Adam')).trim().split('\n')
    const losses = lines.slice(0, 5).map((line) => Number(line.split(' ')[1]))
    expect(losses[0]).toBeGreaterThan(0.5)
    expect(losses[4]).toBeLessThan(0.05)
    expect(lines.slice(5)).toEqual(['Float32Array(4) [ 0, 1, 1, 0 ]', "[ '0.weight', '0.bias', '2.weight', '2.bias' ]"])
  })

  test('show an op of one’s own that passes its check and gives what they say', async () => {
    expect(await output('docs/custom-ops.md', 'defineOp')).toBe("[ '4.000', '4.000' ]\n[ '2.400', '-2.400' ]\n")
  })

  test.each(documents)('%s links to files that exist', (document) => {
    const targets = [...textOf(document).matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)].map((match) => match[1] as string)
    const missing = targets.filter((target) => !existsSync(join(dirname(document), target)))
    expect(missing).toEqual([])
  })

  test.each(documents)('%s names scripts that exist', (document) => {
    const { scripts } = JSON.parse(textOf('package.json'))
    const named = [...textOf(document).matchAll(/npm run ([\w:-]+)/g)].map((match) => match[1] as string)
    expect(named.filter((name) => !(name in scripts))).toEqual([])
  })
})
