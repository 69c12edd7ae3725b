// Stochastic gradient descent in place, as PyTorch defines it: d = g + λ·p, v = μ·v + d, p −= η·(NESTEROV ? d + μ·v : v).
// Without MOMENTUM, p −= η·d, and velocity is not touched. One invocation owns one element. Limited by memory bandwidth.

#include linear

struct Params {
  count: u32,
  learning_rate: f32,
  momentum: f32,
  weight_decay: f32,
}
#params Params

@group(0) @binding(0) var<storage, read> gradient: array<f32>;
@group(0) @binding(1) var<storage, read_write> parameter: array<f32>;
@group(0) @binding(2) var<storage, read_write> velocity: array<f32>;

#const MOMENTUM: bool = true
#const NESTEROV: bool = false

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
    var step = d;
    if (MOMENTUM) {
      let v = params.momentum * velocity[i] + d;
      velocity[i] = v;
      step = select(v, d + params.momentum * v, NESTEROV);
    }
    parameter[i] = p - params.learning_rate * step;
  }
}
