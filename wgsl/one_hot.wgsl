// out[n, c] = 1 where indices[n] = c, else 0; an index outside of 0…classes-1 gives a row of zeros.
// One invocation owns one output, or several. Limited by memory bandwidth.

#include linear

struct Params {
  count: u32,
  classes: u32,
}
#params Params

@group(0) @binding(0) var<storage, read> indices: array<i32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let span = linear_span(workgroup, grid, local, 64u, params.count);
  for (var i = span.start; i < span.end; i += 64u) {
    let n = i / params.classes;
    out[i] = select(0.0, 1.0, indices[n] == i32(i - n * params.classes));
  }
}
