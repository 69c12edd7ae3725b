// out[i] = condition[…] != 0 ? a[…] : b[…], with broadcasting. One invocation owns one output, or several.

#include linear
#include broadcast

struct Params {
  count: u32,
  d1: u32, d2: u32, d3: u32,
  c0: u32, c1: u32, c2: u32, c3: u32,
  a0: u32, a1: u32, a2: u32, a3: u32,
  b0: u32, b1: u32, b2: u32, b3: u32,
}
#params Params

@group(0) @binding(0) var<storage, read> condition: array<f32>;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let d1 = params.d1;
  let d2 = params.d2;
  let d3 = params.d3;
  let span = linear_span(workgroup, grid, local, 64u, params.count);
  for (var i = span.start; i < span.end; i += 64u) {
    let c = condition[broadcast_index(i, d1, d2, d3, params.c0, params.c1, params.c2, params.c3)];
    if (c != 0.0) {
      out[i] = a[broadcast_index(i, d1, d2, d3, params.a0, params.a1, params.a2, params.a3)];
    } else {
      out[i] = b[broadcast_index(i, d1, d2, d3, params.b0, params.b1, params.b2, params.b3)];
    }
  }
}
