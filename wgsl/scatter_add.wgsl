// The sum of rows that share an index: out[r, d] = Σ x[n, d] over all n with indices[n] = r. The gradient of gather.
//
// One invocation owns one output, or several a grid apart, and walks all indices in order: no float atomics, so results repeat bit for bit.
// Limited by reading `rows · inner · indices` index values, all of them from cache; meant for embedding tables, with
// a batch of indices. Indices outside of the table match no row.

#include linear

struct Params {
  count: u32,
  inner: u32,
  indices: u32,
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
  let step = linear_size(grid, 64u);
  for (var i = linear_index(workgroup, grid, local, 64u); i < params.count; i += step) {
    let row = i32(i / params.inner);
    let d = i % params.inner;
    var sum = 0.0;
    for (var n = 0u; n < params.indices; n++) {
      if (indices[n] == row) { sum += x[n * params.inner + d]; }
    }
    out[i] = sum;
  }
}
