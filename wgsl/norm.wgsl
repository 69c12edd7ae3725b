// Group normalisation: y = (x − μ)·r·weight + bias, r = 1/√(σ² + ε), μ and σ² over each group, then the activation.
//
// x: [N, C, inner], row-major; a group is C/G neighbouring channels of one sample, so its elements lie together.
// Instance norm is G = C; layer norm is one group and inner = 1. A team of invocations shares a group, and a workgroup
// loops over a chunk of groups. Two passes: sums of x and x² about a shift, then the result. The shift is the mean of
// the team's first elements, so that a large mean costs no digits. Also stores (μ, r) of each group for the gradient.
// Limited by loads: two and a store an element.

#include linear
#include elements
#include activation
#include channel_walk

// Channels and inner count elements of type V: four channels or four positions are one where V = vec4f.
struct Params {
  groups: u32, // of all samples
  groups_per_sample: u32,
  channels: u32, // in a group
  inner: u32,
  eps: f32,
}
#params Params

// One weight for V, or one for each of its channels.
#alias W = f32

@group(0) @binding(0) var<storage, read> x: array<V>;
@group(0) @binding(1) var<storage, read> weight: array<W>;
@group(0) @binding(2) var<storage, read> bias: array<W>;
@group(0) @binding(3) var<storage, read_write> y: array<V>;
@group(0) @binding(4) var<storage, read_write> stats: array<vec2f>;

#const LANES: u32 = 8
#const SIZE: u32 = 64
const TEAMS = SIZE / LANES;
#const WEIGHT: bool = true
#const BIAS: bool = true

alias Sum = vec2f;
fn join(a: Sum, b: Sum) -> Sum {
  return a + b;
}
#choose Team = team_workgroup

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
    // A group out of range still takes part in the joins.
    let in_range = first + local / LANES < params.groups;
    let group = min(first + local / LANES, params.groups - 1u);
    let base = group * count;
    let sample = team_join(vec2f(across(x[base + min(lane, count - 1u)]), 0.0), local);
    let shift = sample.x / f32(LANES * WIDTH);
    var sums = vec2f(0.0);
    for (var i = lane; i < count; i += LANES) {
      let d = x[base + i] - shift;
      sums += vec2f(across(d), across(d * d));
    }
    let means = team_join(sums, local) / f32(count * WIDTH);
    let mean = shift + means.x;
    let r = inverseSqrt(max(means.y - means.x * means.x, 0.0) + params.eps);
    if (in_range) {
      if (lane == 0u) { stats[group] = vec2f(mean, r); }
      var walk = channel_walk(group % params.groups_per_sample * params.channels, lane, LANES, params.inner);
      for (var i = lane; i < count; i += LANES) {
        var v = (x[base + i] - mean) * r;
        if (WEIGHT) { v *= V(weight[walk.channel]); }
        if (BIAS) { v += V(bias[walk.channel]); }
        y[base + i] = activate(v);
        channel_next(&walk, params.inner);
      }
    }
  }
}
