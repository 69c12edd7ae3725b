// Rows of a table by index: out[n, d] = table[indices[n], d], d over `inner` elements.
//
// An index outside of 0…rows-1 gives a row of `invalid` (NaN, passed as data since WGSL has no NaN literal): a mistake
// shows in the first number that is read back. One invocation owns one output, or several. Limited by memory bandwidth.

#include linear

struct Params {
  count: u32,
  inner: u32,
  rows: u32,
  invalid: f32,
}
#params Params

@group(0) @binding(0) var<storage, read> table: array<f32>;
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
    let n = i / params.inner;
    // A negative index becomes a large one.
    let row = u32(indices[n]);
    var value = params.invalid;
    if (row < params.rows) { value = table[row * params.inner + i - n * params.inner]; }
    out[i] = value;
  }
}
