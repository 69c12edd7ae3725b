// `node scripts/count-tests.mjs REPORT...`: prints 'N passed, N failed' over reports of vitest's json reporter.
// A report that is missing (vitest did not get to its end) and a file that did not load count as one failure each.
import { existsSync, readFileSync } from 'node:fs'
import process from 'node:process'

let passed = 0
let failed = 0
for (const path of process.argv.slice(2)) {
  if (!existsSync(path)) {
    failed += 1
    continue
  }
  const report = JSON.parse(readFileSync(path, 'utf8'))
  const loadFailures = report.testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
  )
  passed += report.numPassedTests
  failed += report.numFailedTests + loadFailures.length
}
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed > 0 ? 1 : 0
