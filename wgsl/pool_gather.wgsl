// out[p, o] = x[p, indices[p, o]] with indices in a plane of `area` elements, `outputs` of them a plane: the adjoint of
// pool_max_grad. One invocation owns one output. Limited by memory bandwidth.

#include linear

struct Params {
  count: u32,
  area: u32,
  outputs: u32,
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
    out[i] = x[(i / params.outputs) * params.area + u32(indices[i])];
  }
}
