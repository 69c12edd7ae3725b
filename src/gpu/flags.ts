/** WebGPU's flag values by the specification: outside a browser there are no globals to read them from. */
export const BufferUsage = {
  MapRead: 0x0001,
  CopySrc: 0x0004,
  CopyDst: 0x0008,
  Uniform: 0x0040,
  Storage: 0x0080,
  QueryResolve: 0x0200,
} as const

export const MapModeRead = 0x0001
export const ShaderStageCompute = 0x4
