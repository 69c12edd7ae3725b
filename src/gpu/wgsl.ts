import activation from '../../wgsl/include/activation.wgsl'
import broadcast from '../../wgsl/include/broadcast.wgsl'
import channel_walk from '../../wgsl/include/channel_walk.wgsl'
import elements from '../../wgsl/include/elements.wgsl'
import linear from '../../wgsl/include/linear.wgsl'
import philox from '../../wgsl/include/philox.wgsl'
import quotient from '../../wgsl/include/quotient.wgsl'
import store_each from '../../wgsl/include/store_each.wgsl'
import store_four from '../../wgsl/include/store_four.wgsl'
import team_alone from '../../wgsl/include/team_alone.wgsl'
import team_subgroup from '../../wgsl/include/team_subgroup.wgsl'
import team_workgroup from '../../wgsl/include/team_workgroup.wgsl'
import windows from '../../wgsl/include/windows.wgsl'
import { Ld3mError } from '../errors.ts'

/**
 * Kernels are `.wgsl` files in plain WGSL plus five directives, each on a line of its own:
 *
 *     #const TILE: u32 = 16      a constant that a variant may set, with its default
 *     #alias Element = f32       a type that a variant may set, with its default
 *     #params Params             declares `params` of that struct: immediates, or a uniform where they are missing
 *     #include linear            the text of wgsl/include/linear.wgsl, once
 *     #choose Team = team_alone  an include that a variant may set, with its default
 */
const includes: Record<string, string> = {
  ...{ activation, broadcast, channel_walk, elements, linear, philox, quotient, windows },
  ...{ store_each, store_four, team_alone, team_subgroup, team_workgroup },
}

/** Values for a kernel's `#const`, `#alias` and `#choose` lines. A string names a type, a constant that the file declares, or an include. */
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

/** Reads off a kernel's text what the host must bind and pass. */
export function parseInterface(name: string, source: string): KernelInterface {
  const bindings: Access[] = []
  for (const m of source.matchAll(/@group\(0\)\s*@binding\((\d+)\)\s*var<storage,\s*(read_write|read)>/g)) {
    bindings[Number(m[1])] = m[2] as Access
  }
  const struct = source.match(/^#params\s+(\w+)/m)?.[1]
  if (!struct) return { bindings, params: [] }
  const body = source.match(new RegExp(`struct\\s+${struct}\\s*\\{([^}]*)\\}`))?.[1]
  if (body === undefined) throw new Error(`${name}.wgsl: #params ${struct} names no struct`)
  const params = [...body.replace(/\/\/.*$/gm, '').matchAll(/(\w+)\s*:\s*(\w+)/g)].map((m) => {
    const type = m[2]
    if (type !== 'u32' && type !== 'i32' && type !== 'f32') {
      throw new Error(`${name}.wgsl: param '${m[1]}' is ${type}; params are u32, i32 or f32`)
    }
    return { name: m[1] as string, type } as const
  })
  if (params.length > 16) throw new Error(`${name}.wgsl: ${params.length} params; 64 bytes hold 16`)
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

  const include = (file: string): string => {
    if (included.has(file)) return ''
    included.add(file)
    const text = includes[file]
    if (text === undefined) throw new Error(`${name}.wgsl: no wgsl/include/${file}.wgsl`)
    return expand(text)
  }

  const expand = (text: string): string =>
    text
      .split('\n')
      .map((line) => {
        const directive = line.match(/^#(\w+)\s*(.*)$/)
        if (!directive) {
          if (/^(enable|requires)\s/.test(line)) {
            enables.push(line)
            return ''
          }
          return line
        }
        const rest = (directive[2] as string).replace(/\/\/.*$/, '').trim()
        switch (directive[1]) {
          case 'const': {
            const m = rest.match(/^(\w+)\s*(?::\s*(\w+))?\s*=\s*(.+)$/)
            if (!m) throw new Error(`${name}.wgsl: cannot read '${line}'`)
            const key = m[1] as string
            unused.delete(key)
            const given = constants[key]
            const value = given === undefined ? m[3] : literal(m[2], given)
            return `const ${key}${m[2] ? `: ${m[2]}` : ''} = ${value};`
          }
          case 'alias': {
            const m = rest.match(/^(\w+)\s*=\s*(.+)$/)
            if (!m) throw new Error(`${name}.wgsl: cannot read '${line}'`)
            unused.delete(m[1] as string)
            return `alias ${m[1]} = ${constants[m[1] as string] ?? m[2]};`
          }
          case 'params':
            return immediates
              ? `var<immediate> params: ${rest};`
              : `@group(1) @binding(0) var<uniform> params: ${rest};`
          case 'choose': {
            const m = rest.match(/^(\w+)\s*=\s*(\w+)$/)
            if (!m) throw new Error(`${name}.wgsl: cannot read '${line}'`)
            unused.delete(m[1] as string)
            return include(String(constants[m[1] as string] ?? m[2]))
          }
          case 'include':
            return include(rest)
          default:
            throw new Error(`${name}.wgsl: unknown directive '${line}'`)
        }
      })
      .join('\n')

  const body = expand(source)
  if (unused.size > 0) {
    throw new Ld3mError(
      'option',
      `Kernel ${name} has no constant ${[...unused].join(', ')}.`,
      `Declare it in wgsl/${name}.wgsl with #const or #alias.`,
    )
  }
  return `${enables.join('\n')}\n${body}`
}
