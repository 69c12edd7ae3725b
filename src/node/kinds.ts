/** What runs the kernels: a GPU, or one of the two software adapters that the library knows. */
export type AdapterKind = 'hardware' | 'lavapipe' | 'swiftshader'

/** The oldest major version of Mesa whose lavapipe is used: Debian 12's own, 22, gives Dawn no adapter. */
export const OLDEST_MESA = 25

/** The kind of an adapter, undefined for a software adapter that the library does not know. */
export function kindOf(info: GPUAdapterInfo): AdapterKind | undefined {
  const name = `${info.architecture} ${info.device} ${info.description}`.toLowerCase()
  if (name.includes('swiftshader')) return 'swiftshader'
  if (name.includes('llvmpipe') || name.includes('lavapipe')) return 'lavapipe'
  return info.isFallbackAdapter ? undefined : 'hardware'
}

/** Mesa's version as in "25.0.7", undefined where the adapter names none. */
export function mesaVersion(info: GPUAdapterInfo): string | undefined {
  return /Mesa (\d+(?:\.\d+)*)/.exec(info.description)?.[1]
}

/** One line for people, such as "lavapipe (llvmpipe, Mesa 25.0.7), software". */
export function describeAdapter(info: GPUAdapterInfo): string {
  switch (kindOf(info)) {
    case 'lavapipe':
      return `lavapipe (llvmpipe, Mesa ${mesaVersion(info) ?? 'of unknown version'}), software`
    case 'swiftshader':
      return `SwiftShader (${info.description.replace(/^SwiftShader /, '')}), software`
    case 'hardware':
      return `${nameOf(info)}, hardware`
    default:
      return `${nameOf(info)}, software`
  }
}

function nameOf(info: GPUAdapterInfo): string {
  const name = info.device || `${info.vendor} ${info.architecture}`.trim() || 'unnamed adapter'
  return info.description ? `${name} (${info.description})` : name
}
