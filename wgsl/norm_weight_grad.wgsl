// Gradients of group normalisation with respect to its weight, Σ g′·x̂ over samples and positions, or its bias, Σ g′;
// g′ = g, or with SILU g·silu′(x̂·weight + bias), for g the gradient of the activation's output.
//
// g, x: [N, C, inner]. LANES invocations share one channel of one chunk of samples, and out: [chunks, C] holds partial
// sums, which the host reduces: a channel alone would leave most of a GPU idle, and float atomics do not repeat.
// Limited by memory bandwidth.

#include linear
#include group_sum

struct Params {
  samples: u32,
  channels: u32,
  inner: u32,
  groups_per_sample: u32,
  chunks: u32,
  samples_per_chunk: u32,
}
#params Params

@group(0) @binding(0) var<storage, read> g: array<f32>;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> stats: array<vec2f>;
@group(0) @binding(3) var<storage, read> weight: array<f32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;

alias Sum = f32;
// 1 where inner = 1: neighbouring invocations then own neighbouring channels.
#const LANES: u32 = 8
const SIZE = 64u;
#const OF_BIAS: bool = false
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
  let outputs = params.chunks * params.channels;
  let output = min(id / LANES, outputs - 1u);
  let channel = output % params.channels;
  let first = output / params.channels * params.samples_per_chunk;
  let end = min(first + params.samples_per_chunk, params.samples);
  let group = channel / (params.channels / params.groups_per_sample);
  var scale = 1.0;
  var shift = 0.0;
  if (SILU && WEIGHT) { scale = weight[channel]; }
  if (SILU && BIAS) { shift = bias[channel]; }
  var sum = 0.0;
  for (var n = first; n < end; n++) {
    let stat = stats[n * params.groups_per_sample + group];
    let base = (n * params.channels + channel) * params.inner;
    for (var i = lane; i < params.inner; i += LANES) {
      let normalised = (x[base + i] - stat.x) * stat.y;
      var h = g[base + i];
      if (SILU) {
        let z = normalised * scale + shift;
        let s = 1.0 / (1.0 + exp(-z));
        h *= s * (1.0 + z * (1.0 - s));
      }
      sum += select(h * normalised, h, OF_BIAS);
    }
  }
  if (LANES > 1u) { sum = group_sum(sum, local); }
  if (lane == 0u && id / LANES < outputs) { out[output] = sum; }
}
