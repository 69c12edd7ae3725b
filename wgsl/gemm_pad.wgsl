// Pads matrices with zeros so that products read four elements at a time: out [batches, rows', columns'] from
// x [batches, rows, columns], whose matrices lie `stride` elements apart. One invocation owns four neighbouring outputs,
// or several times four. Limited by memory bandwidth.

#include linear

struct Params {
  // Fours of out.
  count: u32,
  rows: u32, columns: u32,
  // Of out; wide in fours.
  tall: u32, wide: u32,
  start: u32, stride: u32,
}
#params Params

// What is in half precision stays so.
#const HALF: bool = false
#alias Element = f32
#alias Values = vec4f
#if HALF
enable f16;
#end

@group(0) @binding(0) var<storage, read> x: array<Element>;
@group(0) @binding(1) var<storage, read_write> out: array<Values>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let span = linear_span(workgroup, grid, local, 64u, params.count);
  for (var i = span.start; i < span.end; i += 64u) {
    let line = i / params.wide;
    let column = 4u * (i - line * params.wide);
    let batch = line / params.tall;
    let row = line - batch * params.tall;
    let at = params.start + batch * params.stride + row * params.columns + column;
    let inside = (vec4u(column) + vec4u(0u, 1u, 2u, 3u) < vec4u(params.columns)) & vec4<bool>(row < params.rows);
    out[i] = select(Values(), Values(x[at], x[at + 1u], x[at + 2u], x[at + 3u]), inside);
  }
}
