// Exponential moving average in place: average += weight·(value − average). One invocation owns one element. Limited
// by memory bandwidth.

#include linear

struct Params {
  count: u32,
  weight: f32,
}
#params Params

@group(0) @binding(0) var<storage, read> value: array<f32>;
@group(0) @binding(1) var<storage, read_write> average: array<f32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let span = linear_span(workgroup, grid, local, 64u, params.count);
  for (var i = span.start; i < span.end; i += 64u) {
    average[i] = mix(average[i], value[i], params.weight);
  }
}
