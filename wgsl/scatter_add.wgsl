// The sum of rows that share an index: out[r, d] = Σ x[n, d] over all n with indices[n] = r. The gradient of gather.
//
// One invocation owns one column d of a block of rows. It zeroes them, walks all indices in their order, and adds what
// falls in its block: no float atomics, so results repeat bit for bit. The host makes as many blocks as keep the
// adapter busy, since every block reads all indices (from cache). Limited by that, and by the latency of the additions
// to one row. Indices outside of the table fall in no block.

#include linear

struct Params {
  // Columns times blocks.
  count: u32,
  inner: u32,
  indices: u32,
  rows: u32,
  // Rows of a block.
  block: u32,
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
    let block = i / params.inner;
    let d = i - block * params.inner;
    let first = block * params.block;
    let rows = min(params.block, params.rows - first);
    for (var r = 0u; r < rows; r++) { out[(first + r) * params.inner + d] = 0.0; }
    for (var n = 0u; n < params.indices; n++) {
      // An index before the block wraps to a large number.
      let row = u32(indices[n]) - first;
      if (row < rows) { out[(first + row) * params.inner + d] += x[n * params.inner + d]; }
    }
  }
}
