// One element a row: out[o, i] = x[o, indices[o, i], i] of a row-major x: [outer, reduced, inner].
//
// An index outside of 0…reduced-1 gives `invalid` (NaN, passed as data). One invocation owns one output, or several. Limited by
// memory latency: neighbours read `reduced · inner` apart where inner is 1.

#include linear

struct Params {
  count: u32,
  reduced: u32,
  inner: u32,
  invalid: f32,
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
    let outer = i / params.inner;
    let at = u32(indices[i]);
    var value = params.invalid;
    if (at < params.reduced) { value = x[(outer * params.reduced + at) * params.inner + i - outer * params.inner]; }
    out[i] = value;
  }
}
