// out[b] = op(a[b]) · op(b[b]) for row-major [M, K] and [K, N], with any strides: transposes are strides.
//
// One invocation owns one output and walks K. Limited by loads.

#include linear

struct Params {
  count: u32, m: u32, n: u32, k: u32,
  aBatch: u32, aRow: u32, aCol: u32,
  bBatch: u32, bRow: u32, bCol: u32,
}
#params Params

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

#const BIAS: bool = false

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let span = linear_span(workgroup, grid, local, 64u, params.count);
  for (var i = span.start; i < span.end; i += 64u) {
    let col = i % params.n;
    let row = (i / params.n) % params.m;
    let batch = i / (params.n * params.m);
    var pa = batch * params.aBatch + row * params.aRow;
    var pb = batch * params.bBatch + col * params.bCol;
    var sum = select(0.0, bias[col], BIAS);
    for (var k = 0u; k < params.k; k++) {
      sum += a[pa] * b[pb];
      pa += params.aCol;
      pb += params.bRow;
    }
    out[i] = sum;
  }
}
