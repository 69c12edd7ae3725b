// Pads matrices with zeros so that products read four elements at a time: out [batches, rows', columns'] from
// x [batches, rows, columns], whose matrices lie `stride` elements apart. One invocation owns one output, or several. Limited by memory bandwidth.

#include linear

struct Params {
  count: u32,
  rows: u32, columns: u32,
  // Of out.
  tall: u32, wide: u32,
  start: u32, stride: u32,
}
#params Params

// What is in half precision stays so.
#const HALF: bool = false
#alias Element = f32
#if HALF
enable f16;
#end

@group(0) @binding(0) var<storage, read> x: array<Element>;
@group(0) @binding(1) var<storage, read_write> out: array<Element>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let span = linear_span(workgroup, grid, local, 64u, params.count);
  for (var i = span.start; i < span.end; i += 64u) {
    let line = i / params.wide;
    let column = i - line * params.wide;
    let batch = line / params.tall;
    let row = line - batch * params.tall;
    let inside = row < params.rows && column < params.columns;
    out[i] = select(Element(), x[params.start + batch * params.stride + row * params.columns + column], inside);
  }
}
