// Nearest row of a codebook, by squared distance; of equal ones the first.
//
// z: [N, C, P], codebook: [K, C], indices: [N, P]. One invocation owns one position and walks all rows, which
// neighbours read together. CHANNELS fixes the common numbers of latent channels, whose values then stay in
// registers; 0 reads them again for every row. Limited by arithmetic.

#include linear

struct Params {
  positions: u32, // N·P
  inner: u32, // P
  channels: u32,
  rows: u32,
}
#params Params

@group(0) @binding(0) var<storage, read> z: array<f32>;
@group(0) @binding(1) var<storage, read> codebook: array<f32>;
@group(0) @binding(2) var<storage, read_write> indices: array<i32>;

#const CHANNELS: u32 = 0

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let channels = select(params.channels, CHANNELS, CHANNELS > 0u);
  let span = linear_span(workgroup, grid, local, 64u, params.positions);
  for (var i = span.start; i < span.end; i += 64u) {
    let sample = i / params.inner;
    let base = sample * channels * params.inner + i - sample * params.inner;
    var own = vec4f(0.0);
    if (CHANNELS > 0u) {
      for (var c = 0u; c < CHANNELS; c++) { own[c] = z[base + c * params.inner]; }
    }
    var best = 0u;
    var least = 0.0;
    for (var k = 0u; k < params.rows; k++) {
      var distance = 0.0;
      for (var c = 0u; c < channels; c++) {
        var v: f32;
        if (CHANNELS > 0u) { v = own[c]; } else { v = z[base + c * params.inner]; }
        let d = v - codebook[k * channels + c];
        distance += d * d;
      }
      if (k == 0u || distance < least) {
        least = distance;
        best = k;
      }
    }
    indices[i] = i32(best);
  }
}
