// Gradients of group normalisation with respect to its weight, Σ g′·x̂ over samples and positions, and its bias, Σ g′;
// g′ = g, or with an activation f: g·f′(x̂·weight + bias), g the gradient of its output.
//
// g, x: [N, C, inner]. A team shares one channel of one chunk of samples, and the results: [chunks, C] are partial sums,
// which the host reduces: a channel alone would leave most of a GPU idle, and float atomics do not repeat. Teams as in
// norm.wgsl; where V = vec4f, inner counts fours. Limited by memory bandwidth.

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

@group(0) @binding(0) var<storage, read> g: array<V>;
@group(0) @binding(1) var<storage, read> x: array<V>;
@group(0) @binding(2) var<storage, read> stats: array<vec2f>;
@group(0) @binding(3) var<storage, read> weight: array<f32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> dweight: array<f32>;
@group(0) @binding(6) var<storage, read_write> dbias: array<f32>;

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
  let outputs = params.chunks * params.channels;
  let span = linear_span(workgroup, grid, 0u, TEAMS, outputs);
  for (var first = span.start; first < span.end; first += TEAMS) {
    let in_range = first + local / LANES < outputs;
    let output = min(first + local / LANES, outputs - 1u);
    let channel = output % params.channels;
    let start = output / params.channels * params.samples_per_chunk;
    let end = min(start + params.samples_per_chunk, params.samples);
    let group = channel / (params.channels / params.groups_per_sample);
    var scale = 1.0;
    var shift = 0.0;
    if (ACTIVATION != NONE && WEIGHT) { scale = weight[channel]; }
    if (ACTIVATION != NONE && BIAS) { shift = bias[channel]; }
    var sums = vec2f(0.0);
    for (var n = start; n < end; n++) {
      let stat = stats[n * params.groups_per_sample + group];
      let base = (n * params.channels + channel) * params.inner;
      for (var i = lane; i < params.inner; i += LANES) {
        let normalised = (x[base + i] - stat.x) * stat.y;
        var h = g[base + i];
        if (ACTIVATION != NONE) { h *= activation_slope(normalised * scale + shift); }
        sums += vec2f(across(h * normalised), across(h));
      }
    }
    sums = team_join(sums, local);
    if (lane == 0u && in_range) {
      dweight[output] = sums.x;
      dbias[output] = sums.y;
    }
  }
}
