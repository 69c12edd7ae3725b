// Adam (Kingma & Ba 2015) in place, as PyTorch defines it: d = g + λ·p, m = β₁·m + (1−β₁)·d, v = β₂·v + (1−β₂)·d²,
// p −= step·m/(√v·scale + ε), where the host gives the bias corrections step = η/(1−β₁ᵗ) and scale = 1/√(1−β₂ᵗ), from
// float64. One invocation owns one element. Limited by memory bandwidth.

#include linear

struct Params {
  count: u32,
  step: f32,
  scale: f32,
  beta1: f32,
  one_minus_beta1: f32, // from float64: 1 − 0.999 in f32 is off by 5e-5 of itself
  beta2: f32,
  one_minus_beta2: f32,
  eps: f32,
  weight_decay: f32,
}
#params Params

@group(0) @binding(0) var<storage, read> gradient: array<f32>;
@group(0) @binding(1) var<storage, read_write> parameter: array<f32>;
@group(0) @binding(2) var<storage, read_write> mean: array<f32>;
@group(0) @binding(3) var<storage, read_write> square: array<f32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let span = linear_span(workgroup, grid, local, 64u, params.count);
  for (var i = span.start; i < span.end; i += 64u) {
    let p = parameter[i];
    let d = gradient[i] + params.weight_decay * p;
    let m = params.beta1 * mean[i] + params.one_minus_beta1 * d;
    let v = params.beta2 * square[i] + params.one_minus_beta2 * d * d;
    mean[i] = m;
    square[i] = v;
    parameter[i] = p - params.step * m / (sqrt(v) * params.scale + params.eps);
  }
}
