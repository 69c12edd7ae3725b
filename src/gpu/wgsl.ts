import { type Ld3mError, optionError } from '../errors.ts'
import { includes } from './includes.ts'

/**
 * Kernels are `.wgsl` files in plain WGSL plus directives, each on a line of its own:
 *
 *     #const TILE: u32 = 16      a constant that a variant may set, with its default
 *     #alias Element = f32       a type that a variant may set, with its default; ${Element} is replaced by its name
 *     #name F = add              a name or number that a variant may set, with its default: it declares nothing, and
 *                                ${F} in a line below is replaced by it (and so is a #const's name by its value)
 *     #params Params             declares `params` of that struct: immediates, or a uniform where they are missing
 *     #include linear            the text of wgsl/include/linear.wgsl, once
 *     #choose Team = team_alone  an include that a variant may set, with its default
 *     #for j in TILE             the lines up to the matching #end, TILE times (a number or a #const), with ${j} replaced
 *     #end                       by 0, 1, …: unrolled text, since some adapters keep in memory what a loop changes.
 *                                Directives may stand in it: #name F${j} = add, used as ${F${j}}
 *     #if FUSED                  the lines up to #else or #end if a bool #const is true, else those between #else and
 *     #else                      #end, if any: where the alternatives do not compile beside each other
 *     #end
 */
/**
 * Values for a kernel's `#const`, `#alias`, `#name` and `#choose` lines. A string names a type, something that the file
 * declares, or an include.
 */
export type Constants = Readonly<Record<string, number | boolean | string>>

/** How the storage buffers of a kernel are bound, in binding order. */
export type Access = 'read' | 'read_write'

export interface ParamField {
  readonly name: string
  readonly type: 'u32' | 'i32' | 'f32'
}

export interface KernelInterface {
  /** Storage bindings of group 0, in order. */
  readonly bindings: readonly Access[]
  /** Fields of the params struct, 4 bytes each, at most 16. */
  readonly params: readonly ParamField[]
}

/** A mistake in a kernel's text. */
const textError = (name: string, what: string, fix: string): Ld3mError => optionError(`Kernel ${name}: ${what}.`, fix)

/** Reads off the assembled text of a kernel what the host must bind and pass. */
export function parseInterface(name: string, source: string): KernelInterface {
  const bindings: Access[] = []
  for (const m of source.matchAll(/@group\(0\)\s*@binding\((\d+)\)\s*var<storage,\s*(read_write|read)>/g)) {
    bindings[Number(m[1])] = m[2] as Access
  }
  for (let i = 0; i < bindings.length; i++) {
    if (!bindings[i])
      throw textError(name, `there is no @binding(${i})`, 'Number the storage buffers from 0, without a gap.')
  }
  const struct = source.match(/var<(?:immediate|uniform)> params: (\w+);/)?.[1]
  if (!struct) return { bindings, params: [] }
  const body = source.match(new RegExp(`struct\\s+${struct}\\s*\\{([^}]*)\\}`))?.[1]
  if (body === undefined) throw textError(name, `#params ${struct} names no struct`, 'Declare the struct.')
  const params = [...body.replace(/\/\/.*$/gm, '').matchAll(/(\w+)\s*:\s*(\w+)/g)].map((m) => {
    const type = m[2]
    if (type !== 'u32' && type !== 'i32' && type !== 'f32') {
      throw textError(name, `param '${m[1]}' is ${type}; params are u32, i32 or f32`, 'Pass vectors by their parts.')
    }
    return { name: m[1] as string, type } as const
  })
  if (params.length > 16)
    throw textError(name, `${params.length} params; 64 bytes hold 16`, 'Pass the rest in a storage buffer.')
  return { bindings, params }
}

function literal(type: string | undefined, value: number | boolean | string): string {
  if (typeof value !== 'number') return String(value)
  if (type === 'u32') return `${value}u`
  if (type === 'f32') return Number.isInteger(value) ? `${value}.0` : `${value}`
  return `${value}`
}

/** Expands the directives: the WGSL text of one variant. */
export function assemble(name: string, source: string, constants: Constants, immediates: boolean): string {
  const unused = new Set(Object.keys(constants))
  const included = new Set<string>()
  const enables: string[] = immediates ? ['requires immediate_address_space;'] : []
  const values = new Map<string, string>()

  const match = (line: string, text: string, pattern: RegExp): string[] => {
    const m = text.match(pattern)
    if (!m) throw textError(name, `cannot read '${line}'`, KNOWN)
    return m.slice(1).map((part) => part ?? '')
  }

  const include = (file: string): string => {
    if (included.has(file)) return ''
    included.add(file)
    const text = includes[file]
    if (text === undefined)
      throw textError(name, `there is no include '${file}'`, `Known: ${Object.keys(includes).sort().join(', ')}.`)
    return expand(text.split('\n'))
  }

  /** The constant that a directive declares: what the variant sets, or its default. */
  const chosen = (key: string, fallback: string, type?: string): string => {
    unused.delete(key)
    const given = constants[key]
    return given === undefined ? fallback : literal(type, given)
  }

  const single = (written: string): string => {
    const line = written.replaceAll(/\$\{(\w+)\}/g, (whole, key) => {
      const value = values.get(key)
      if (value === undefined)
        throw textError(name, `${whole} names no #const, #alias or #name above it`, 'Declare it above.')
      return value.replace(/^(\d+)u$/, '$1')
    })
    const directive = line.match(/^#(\w+)\s*(.*)$/)
    if (!directive) {
      if (!/^(enable|requires)\s/.test(line)) return line
      enables.push(line)
      return ''
    }
    const rest = (directive[2] as string).replace(/\/\/.*$/, '').trim()
    switch (directive[1]) {
      case 'const': {
        const [key, type, fallback] = match(line, rest, /^(\w+)\s*(?::\s*(\w+))?\s*=\s*(.+)$/) as Three
        const value = chosen(key, fallback, type)
        values.set(key, value)
        return `const ${key}${type ? `: ${type}` : ''} = ${value};`
      }
      case 'alias': {
        const [key, fallback] = match(line, rest, /^(\w+)\s*=\s*(.+)$/) as Two
        values.set(key, chosen(key, fallback))
        return `alias ${key} = ${values.get(key)};`
      }
      case 'name': {
        const [key, fallback] = match(line, rest, /^(\w+)\s*=\s*(\w+)$/) as Two
        values.set(key, chosen(key, fallback))
        return ''
      }
      case 'choose': {
        const [key, fallback] = match(line, rest, /^(\w+)\s*=\s*(\w+)$/) as Two
        return include(chosen(key, fallback))
      }
      case 'include':
        return include(rest)
      case 'params':
        return immediates ? `var<immediate> params: ${rest};` : `@group(1) @binding(0) var<uniform> params: ${rest};`
      default:
        throw textError(name, `unknown directive '${line}'`, KNOWN)
    }
  }

  const expand = (lines: readonly string[]): string => {
    const out: string[] = []
    for (let i = 0; i < lines.length; i++) {
      const line = lines[i] as string
      if (!/^#(for|if)\b/.test(line)) {
        out.push(single(line))
        continue
      }
      const { otherwise, end } = partsOf(name, lines, i)
      const body = lines.slice(i + 1, otherwise ?? end)
      if (line.startsWith('#if')) {
        const [key] = match(line, line, /^#if\s+(\w+)\s*$/) as [string]
        const value = values.get(key)
        if (value !== 'true' && value !== 'false')
          throw textError(name, `'${line}' names no bool #const above it`, 'Declare it above.')
        out.push(expand(value === 'true' ? body : otherwise === undefined ? [] : lines.slice(otherwise + 1, end)))
      } else {
        const [variable, bound] = match(line, line, /^#for\s+(\w+)\s+in\s+(\w+)\s*$/) as Two
        const digits = /^(\d+)u?$/.exec(values.get(bound) ?? bound)?.[1]
        if (digits === undefined || otherwise !== undefined)
          throw textError(name, `cannot repeat '${line}'`, 'Write: #for i in 4, or in a #const that is a number.')
        for (let k = 0; k < Number(digits); k++) {
          out.push(expand(body.map((text) => text.replaceAll(`\${${variable}}`, `${k}`))))
        }
      }
      i = end
    }
    return out.join('\n')
  }

  const body = expand(source.split('\n'))
  if (unused.size > 0) {
    const fix = 'Declare it in the kernel with #const, #alias, #name or #choose.'
    throw textError(name, `it has no constant ${[...unused].join(', ')}`, fix)
  }
  return `${enables.join('\n')}\n${body}`
}

const KNOWN = 'Directives: #const, #alias, #name, #params, #include, #choose, #for, #if, #else, #end; each on its line.'

type Two = [string, string]
type Three = [string, string, string]

/** The lines of the #else (if any) and of the #end that belong to the #for or #if in line `start`. */
function partsOf(name: string, lines: readonly string[], start: number): { otherwise?: number; end: number } {
  let depth = 0
  let otherwise: number | undefined
  for (let i = start; i < lines.length; i++) {
    const line = lines[i] as string
    if (/^#(for|if)\b/.test(line)) depth++
    else if (/^#else\b/.test(line) && depth === 1) otherwise = i
    else if (/^#end\b/.test(line) && --depth === 0) return otherwise === undefined ? { end: i } : { otherwise, end: i }
  }
  throw textError(name, `'${lines[start]}' has no #end`, 'End it with a line #end.')
}
