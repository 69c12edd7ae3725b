// The derivative of group normalisation along a direction, f′(z)·q (see include/norm_tangent.wgsl), which is also the
// gradient of ⟨u, dx⟩ + ⟨directions, (dweight, dbias)⟩ with respect to g, where norm_input_grad and norm_weight_grad give
// dx, dweight and dbias.
//
// Layout and units as in norm.wgsl; an invocation takes every LANES-th element of a group. Limited by memory bandwidth.

#include linear
#include elements
#include activation
#include channel_walk

struct Params {
  groups: u32,
  groups_per_sample: u32,
  channels: u32, // in a group
  inner: u32,
}
#params Params

#alias W = f32

@group(0) @binding(0) var<storage, read> u: array<V>;
@group(0) @binding(1) var<storage, read> x: array<V>;
@group(0) @binding(2) var<storage, read> moments: array<vec4f>;
@group(0) @binding(3) var<storage, read> directions: array<W>;
@group(0) @binding(4) var<storage, read> weight: array<W>;
@group(0) @binding(5) var<storage, read> bias: array<W>;
@group(0) @binding(6) var<storage, read_write> out: array<V>;

#const LANES: u32 = 8
#const SIZE: u32 = 64
const TEAMS = SIZE / LANES;
#const WEIGHT: bool = true
#const BIAS: bool = true
#include norm_tangent

@compute @workgroup_size(SIZE)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let lane = local % LANES;
  let count = params.channels * params.inner;
  let channels = params.channels * params.groups_per_sample;
  let span = linear_span(workgroup, grid, local / LANES, TEAMS, params.groups);
  for (var group = span.start; group < span.end; group += TEAMS) {
    let base = group * count;
    let m = moments[group];
    var walk = channel_walk(group % params.groups_per_sample * params.channels, lane, LANES, params.inner);
    for (var i = lane; i < count; i += LANES) {
      let normalised = (x[base + i] - m.x) * m.y;
      let q = tangent(direction_x(u[base + i], normalised, m), normalised, walk.channel, channels);
      out[base + i] = q * activation_slope(before_activation(normalised, walk.channel));
      channel_next(&walk, params.inner);
    }
  }
}
