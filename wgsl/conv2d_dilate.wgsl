// Zeros between the elements of a map: out[p, y·stride, x·stride] = x[p, y, x], for the gradient of a strided
// convolution. One invocation owns one output. Limited by memory bandwidth.

#include linear

struct Params {
  count: u32,
  h: u32, w: u32,
  ho: u32, wo: u32,
  stride: u32,
}
#params Params

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let span = linear_span(workgroup, grid, local, 64u, params.count);
  for (var i = span.start; i < span.end; i += 64u) {
    let column = i % params.wo;
    let row = (i / params.wo) % params.ho;
    let plane = i / (params.wo * params.ho);
    let x0 = column / params.stride;
    let y0 = row / params.stride;
    var value = 0.0;
    if (x0 * params.stride == column && y0 * params.stride == row) {
      value = x[(plane * params.h + y0) * params.w + x0];
    }
    out[i] = value;
  }
}
