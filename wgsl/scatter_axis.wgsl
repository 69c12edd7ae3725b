// The gradient of gather_axis: out[o, r, i] = x[o, i] where indices[o, i] = r, else 0, for out: [outer, reduced, inner].
// One invocation owns one output, or several. Limited by memory bandwidth.

#include linear

struct Params {
  count: u32,
  reduced: u32,
  inner: u32,
}
#params Params

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> indices: array<i32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let span = linear_span(workgroup, grid, local, 64u, params.count);
  for (var i = span.start; i < span.end; i += 64u) {
    let row = i / params.inner;
    let outer = row / params.reduced;
    let source = outer * params.inner + i - row * params.inner;
    var value = 0.0;
    if (indices[source] == i32(row - outer * params.reduced)) { value = x[source]; }
    out[i] = value;
  }
}
