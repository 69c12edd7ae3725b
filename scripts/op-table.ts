import { type Op, type OpName, registry } from '../src/autograd/index.ts'

/** The op table of docs/ops.md, from the registry. */
export function opTable(): string {
  const rows = (Object.keys(registry) as OpName[]).sort().map((name) => {
    const { vjp, saves, inputTypes } = registry[name] as unknown as Op<unknown>
    const gradient = typeof vjp === 'function' ? 'yes' : `none: ${vjp.none}`
    return `| \`${name}\` | ${typesText(inputTypes)} | ${gradient} | ${savesText(saves)} |`
  })
  return `${HEAD}\n${rows.join('\n')}\n`
}

const HEAD = `# Ops

Every op of the registry (\`src/autograd/ops/registry.ts\`). \`npm run ops-table\` writes this file; a test fails when it
is out of date. Public functions with more convenient arguments, such as \`ops.mean\`, are made of these ops.
[Ops of your own](custom-ops.md) are records of the same kind.

"Gradient" says whether there is one; where there is, it holds at every order, and a generated test compares the first
and second order with finite differences. "Saves" is what the graph keeps for the backward pass: inputs by number, the
output, or extra results of the forward kernel, such as a norm's statistics. What is not listed is not kept, and a factor
of a product only if a gradient of the other one may be wanted.

| Op | Inputs | Gradient | Saves |
|---|---|---|---|`

const typesText = (types: Op<unknown>['inputTypes']): string =>
  types === undefined
    ? 'f32'
    : types === 'any'
      ? 'f32 or i32'
      : types.map((type) => (type === 'float' ? 'f32 or f16' : type)).join(', ')

function savesText(declared: Op<unknown>['saves']): string {
  // Of an op whose inputs all need a gradient.
  const saves = typeof declared === 'function' ? declared({}, new Array<boolean>(5).fill(true)) : declared
  const inputs = saves.filter((what) => typeof what === 'number')
  const rest = saves.filter((what) => typeof what === 'string')
  const parts = [...(inputs.length > 0 ? [`input ${inputs.join(', ')}`] : []), ...rest]
  return parts.length > 0 ? parts.join('; ') : 'nothing'
}
