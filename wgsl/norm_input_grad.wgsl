// Gradient of group normalisation with respect to x: dx = r·(h − mean(h) − x̂·mean(h·x̂)), means over the group,
// x̂ = (x − μ)·r, h = weight·g, or with an activation f: h = weight·g·f′(x̂·weight + bias), g the gradient of its output;
// plus a residual.
//
// Layout, teams and units as in norm.wgsl; two passes over g and x.

#include linear
#include elements
#include activation
#include channel_walk

struct Params {
  groups: u32,
  groups_per_sample: u32,
  channels: u32,
  inner: u32,
}
#params Params

#alias W = f32

@group(0) @binding(0) var<storage, read> g: array<V>;
@group(0) @binding(1) var<storage, read> x: array<V>;
@group(0) @binding(2) var<storage, read> stats: array<vec2f>;
@group(0) @binding(3) var<storage, read> weight: array<W>;
@group(0) @binding(4) var<storage, read> bias: array<W>;
@group(0) @binding(5) var<storage, read> residual: array<V>;
@group(0) @binding(6) var<storage, read_write> dx: array<V>;

#const LANES: u32 = 8
#const SIZE: u32 = 64
const TEAMS = SIZE / LANES;
#const WEIGHT: bool = true
#const BIAS: bool = true
#const RESIDUAL: bool = false

alias Sum = vec2f;
fn join(a: Sum, b: Sum) -> Sum {
  return a + b;
}
#choose Team = team_workgroup

fn gradient_of_normalised(index: u32, channel: u32, normalised: V) -> V {
  var h = g[index];
  if (ACTIVATION != NONE) {
    var z = normalised;
    if (WEIGHT) { z *= V(weight[channel]); }
    if (BIAS) { z += V(bias[channel]); }
    h *= activation_slope(z);
  }
  if (WEIGHT) { h *= V(weight[channel]); }
  return h;
}

@compute @workgroup_size(SIZE)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let lane = local % LANES;
  let count = params.channels * params.inner;
  let span = linear_span(workgroup, grid, 0u, TEAMS, params.groups);
  for (var first = span.start; first < span.end; first += TEAMS) {
    let in_range = first + local / LANES < params.groups;
    let group = min(first + local / LANES, params.groups - 1u);
    let base = group * count;
    let mean = stats[group].x;
    let r = stats[group].y;
    let start = channel_walk(group % params.groups_per_sample * params.channels, lane, LANES, params.inner);
    var sums = vec2f(0.0);
    var walk = start;
    for (var i = lane; i < count; i += LANES) {
      let normalised = (x[base + i] - mean) * r;
      let h = gradient_of_normalised(base + i, walk.channel, normalised);
      sums += vec2f(across(h), across(h * normalised));
      channel_next(&walk, params.inner);
    }
    let means = team_join(sums, local) / f32(count * WIDTH);
    if (in_range) {
      walk = start;
      for (var i = lane; i < count; i += LANES) {
        let normalised = (x[base + i] - mean) * r;
        let h = gradient_of_normalised(base + i, walk.channel, normalised);
        var sum = r * (h - means.x - normalised * means.y);
        if (RESIDUAL) { sum += residual[base + i]; }
        dx[base + i] = sum;
        channel_next(&walk, params.inner);
      }
    }
  }
}
