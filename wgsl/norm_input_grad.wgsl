// Gradient of group normalisation with respect to x: dx = r·(h − mean(h) − x̂·mean(h·x̂)), h = weight·g, means over
// the group, x̂ = (x − μ)·r. With SILU, g is the gradient of the activation's output: h = weight·g·silu′(x̂·weight + bias).
//
// Layout, lanes and limits as in norm.wgsl; two passes over g and x.

#include linear
#include group_sum
#include channel_walk

struct Params {
  groups: u32,
  groups_per_sample: u32,
  channels: u32,
  inner: u32,
}
#params Params

@group(0) @binding(0) var<storage, read> g: array<f32>;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> stats: array<vec2f>;
@group(0) @binding(3) var<storage, read> weight: array<f32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> dx: array<f32>;

alias Sum = vec2f;
#const LANES: u32 = 8
const SIZE = max(64u, LANES);
#const WEIGHT: bool = true
#const BIAS: bool = true
#const SILU: bool = false

fn gradient_of_normalised(index: u32, channel: u32, normalised: f32) -> f32 {
  var h = g[index];
  if (SILU) {
    var z = normalised;
    if (WEIGHT) { z *= weight[channel]; }
    if (BIAS) { z += bias[channel]; }
    let s = 1.0 / (1.0 + exp(-z));
    h *= s * (1.0 + z * (1.0 - s));
  }
  if (WEIGHT) { h *= weight[channel]; }
  return h;
}

@compute @workgroup_size(SIZE)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let id = linear_index(workgroup, grid, local, SIZE);
  let lane = id % LANES;
  let in_range = id / LANES < params.groups;
  let group = min(id / LANES, params.groups - 1u);
  let count = params.channels * params.inner;
  let base = group * count;
  let mean = stats[group].x;
  let r = stats[group].y;
  let start = channel_walk(group % params.groups_per_sample * params.channels, lane, LANES, params.inner);
  var sums = vec2f(0.0);
  var walk = start;
  for (var i = lane; i < count; i += LANES) {
    let normalised = (x[base + i] - mean) * r;
    let h = gradient_of_normalised(base + i, walk.channel, normalised);
    sums += vec2f(h, h * normalised);
    channel_next(&walk, params.inner);
  }
  let means = group_sum(sums, local) / f32(count);
  if (!in_range) { return; }
  walk = start;
  for (var i = lane; i < count; i += LANES) {
    let normalised = (x[base + i] - mean) * r;
    let h = gradient_of_normalised(base + i, walk.channel, normalised);
    dx[base + i] = r * (h - means.x - normalised * means.y);
    channel_next(&walk, params.inner);
  }
}
