// Nearest row of a codebook, by squared distance; of equal ones the first.
//
// z: [N, C, P], codebook: [K, C], indices: [N, P]. A team of LANES invocations shares a position, and each walks every
// LANES-th row: one where the positions keep the adapter busy, more on a GPU where they are few. Every lane begins with row
// 0, so that a position or a row that is no number gives the same with all of them. CHANNELS fixes the common numbers of
// latent channels, whose values then stay in registers; 0 reads them again for every row. Limited by arithmetic.

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
#const LANES: u32 = 1
#const SIZE: u32 = 64
const TEAMS = SIZE / LANES;

struct Sum {
  least: f32,
  row: u32,
}

fn join(a: Sum, b: Sum) -> Sum {
  if (b.least < a.least || (b.least == a.least && b.row < a.row)) { return b; }
  return a;
}
#choose Team = team_alone

@compute @workgroup_size(SIZE)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let lane = local % LANES;
  let channels = select(params.channels, CHANNELS, CHANNELS > 0u);
  let span = linear_span(workgroup, grid, 0u, TEAMS, params.positions);
  for (var start = span.start; start < span.end; start += TEAMS) {
    // A team out of range still takes part in the join.
    let i = min(start + local / LANES, params.positions - 1u);
    let sample = i / params.inner;
    let base = sample * channels * params.inner + i - sample * params.inner;
    var own = vec4f(0.0);
    if (CHANNELS > 0u) {
      for (var c = 0u; c < CHANNELS; c++) { own[c] = z[base + c * params.inner]; }
    }
    var near = Sum(0.0, 0u);
    var k = 0u;
    for (var next = lane; k < params.rows; next += LANES) {
      var distance = 0.0;
      for (var c = 0u; c < channels; c++) {
        var v: f32;
        if (CHANNELS > 0u) { v = own[c]; } else { v = z[base + c * params.inner]; }
        let d = v - codebook[k * channels + c];
        distance += d * d;
      }
      if (k == 0u || distance < near.least) { near = Sum(distance, k); }
      k = next;
    }
    near = team_join(near, local);
    if (lane == 0u && start + local / LANES < params.positions) { indices[i] = i32(near.row); }
  }
}
