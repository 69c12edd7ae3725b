// out[i] = value. One invocation owns one output, or several a grid apart.

#include linear

struct Params {
  count: u32,
  value: f32,
}
#params Params

@group(0) @binding(0) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let step = linear_size(grid, 64u);
  for (var i = linear_index(workgroup, grid, local, 64u); i < params.count; i += step) { out[i] = params.value; }
}
