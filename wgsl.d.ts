/** A `.wgsl` file imports as its text. */
declare module '*.wgsl' {
  const source: string
  export default source
}
