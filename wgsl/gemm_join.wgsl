// Adds up the partial sums of a tiled product whose inner dimension was split: out[i] = activation(Σ_s partial[s, i] +
// bias[i / inner mod biases] + residual[i]), in the order of s. With TRANSPOSED, a part is [inner, width] and the result
// its transpose, of which the last rows may be left out. One invocation owns one element, or several. Limited by memory
// bandwidth.

#include linear

struct Params {
  count: u32,
  splits: u32,
  inner: u32,
  biases: u32,
  width: u32,
  start: u32, // where the result begins in out
}
#params Params

#const TRANSPOSED: bool = false
#const BIAS: bool = false
#const RESIDUAL: bool = false
#alias V = f32
#include activation

@group(0) @binding(0) var<storage, read> partial: array<f32>;
@group(0) @binding(1) var<storage, read> bias: array<f32>;
@group(0) @binding(2) var<storage, read> residual: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let span = linear_span(workgroup, grid, local, 64u, params.count);
  for (var i = span.start; i < span.end; i += 64u) {
    var sum = 0.0;
    var at = i;
    var part = params.count;
    if (TRANSPOSED) {
      let row = i / params.inner;
      at = (i - row * params.inner) * params.width + row;
      part = params.inner * params.width;
    }
    for (var s = 0u; s < params.splits; s++) { sum += partial[s * part + at]; }
    if (BIAS) { sum += bias[i / params.inner % params.biases]; }
    if (RESIDUAL) { sum += residual[i]; }
    out[params.start + i] = activate(sum);
  }
}
