// The second-order gradients of group normalisation with respect to its weight and bias: those of what
// norm_second_grad.wgsl names, Σ e·p + g·f″(z)·q·x̂ and Σ g·f″(z)·q over samples and positions.
//
// Teams, chunks and units as in norm_weight_grad.wgsl; out: [2, chunks, C], of the weight and of the bias. Limited by
// memory bandwidth.

#include linear
#include elements
#include activation

struct Params {
  samples: u32,
  channels: u32,
  inner: u32,
  groups_per_sample: u32,
  chunks: u32,
  samples_per_chunk: u32,
}
#params Params

// Here all elements that are taken at once share their channel.
alias W = f32;

@group(0) @binding(0) var<storage, read> u: array<V>;
@group(0) @binding(1) var<storage, read> g: array<V>;
@group(0) @binding(2) var<storage, read> x: array<V>;
@group(0) @binding(3) var<storage, read> moments: array<vec4f>;
@group(0) @binding(4) var<storage, read> directions: array<W>;
@group(0) @binding(5) var<storage, read> weight: array<W>;
@group(0) @binding(6) var<storage, read> bias: array<W>;
@group(0) @binding(7) var<storage, read_write> out: array<f32>;

#const LANES: u32 = 8
#const SIZE: u32 = 64
const TEAMS = SIZE / LANES;
#const WEIGHT: bool = true
#const BIAS: bool = true
#include norm_tangent

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
  let outputs = params.chunks * params.channels;
  let span = linear_span(workgroup, grid, 0u, TEAMS, outputs);
  for (var first = span.start; first < span.end; first += TEAMS) {
    let in_range = first + local / LANES < outputs;
    let output = min(first + local / LANES, outputs - 1u);
    let channel = output % params.channels;
    let start = output / params.channels * params.samples_per_chunk;
    let end = min(start + params.samples_per_chunk, params.samples);
    let group = channel / (params.channels / params.groups_per_sample);
    var sums = vec2f(0.0);
    for (var n = start; n < end; n++) {
      let m = moments[n * params.groups_per_sample + group];
      let base = (n * params.channels + channel) * params.inner;
      for (var i = lane; i < params.inner; i += LANES) {
        let normalised = (x[base + i] - m.x) * m.y;
        let z = before_activation(normalised, channel);
        let p = direction_x(u[base + i], normalised, m);
        let curved = activation_curvature(z) * tangent(p, normalised, channel, params.channels);
        sums += vec2f(
          across(g[base + i] * (activation_slope(z) * p + curved * normalised)), across(g[base + i] * curved),
        );
      }
    }
    sums = team_join(sums, local);
    if (lane == 0u && in_range) {
      out[output] = sums.x;
      out[outputs + output] = sums.y;
    }
  }
}
