// Group normalisation: y = (x − μ)·r·weight + bias, r = 1/√(σ² + ε), μ and σ² over each group, optionally then SiLU.
//
// x: [N, C, inner], row-major; a group is C/G neighbouring channels of one sample, so its elements lie together.
// Instance norm is G = C; layer norm is one group and inner = 1. LANES invocations share a group. Three passes over
// it: mean, mean square about that mean (two passes lose no digits to a large mean), result. Also stores (μ, r) of each
// group for the gradient. Limited by memory bandwidth; passes two and three hit the cache for groups of common size.

#include linear
#include group_sum
#include channel_walk

struct Params {
  groups: u32, // of all samples
  groups_per_sample: u32,
  channels: u32, // in a group
  inner: u32,
  eps: f32,
}
#params Params

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read_write> stats: array<vec2f>;

alias Sum = f32;
#const LANES: u32 = 8
const SIZE = max(64u, LANES);
#const WEIGHT: bool = true
#const BIAS: bool = true
#const SILU: bool = false

@compute @workgroup_size(SIZE)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let id = linear_index(workgroup, grid, local, SIZE);
  let lane = id % LANES;
  // A group out of range still takes part in the barriers.
  let in_range = id / LANES < params.groups;
  let group = min(id / LANES, params.groups - 1u);
  let count = params.channels * params.inner;
  let base = group * count;
  var sum = 0.0;
  for (var i = lane; i < count; i += LANES) { sum += x[base + i]; }
  let mean = group_sum(sum, local) / f32(count);
  var squares = 0.0;
  for (var i = lane; i < count; i += LANES) {
    let d = x[base + i] - mean;
    squares += d * d;
  }
  let r = inverseSqrt(group_sum(squares, local) / f32(count) + params.eps);
  if (!in_range) { return; }
  if (lane == 0u) { stats[group] = vec2f(mean, r); }
  var walk = channel_walk(group % params.groups_per_sample * params.channels, lane, LANES, params.inner);
  for (var i = lane; i < count; i += LANES) {
    var v = (x[base + i] - mean) * r;
    if (WEIGHT) { v *= weight[walk.channel]; }
    if (BIAS) { v += bias[walk.channel]; }
    if (SILU) { v = v / (1.0 + exp(-v)); }
    y[base + i] = v;
    channel_next(&walk, params.inner);
  }
}
