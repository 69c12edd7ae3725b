// One-dimensional work. Kernels whose invocations own single elements loop over a span: `loopGrid` on the host gives as
// many workgroups as fill the adapter, and each owns a chunk of neighbouring elements, which its invocations take in
// turn. Kernels whose workgroups share something take one index each (`linear_index`, `linearGrid`), over a grid that is
// folded where it exceeds 65,535 workgroups in x.

struct Span {
  start: u32, // the invocation's first element; the next ones follow at steps of the workgroup size
  end: u32,
}

fn linear_span(workgroup: vec3u, grid: vec3u, local: u32, size: u32, count: u32) -> Span {
  let chunk = ((count + grid.x - 1u) / grid.x + size - 1u) / size * size;
  let start = workgroup.x * chunk;
  return Span(start + local, min(count, start + chunk));
}

fn linear_index(workgroup: vec3u, grid: vec3u, local: u32, size: u32) -> u32 {
  return (workgroup.y * grid.x + workgroup.x) * size + local;
}
