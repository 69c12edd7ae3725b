// The gradient of a strided convolution with respect to its input from its phases (see conv2d_pack):
// out[n, c, y, x] = phases[n, (ry, rx, c), qy, qx] with y + top = S·qy + ry, x + left = S·qx + rx. One invocation owns one
// output, or several. Limited by memory bandwidth.

#include linear

struct Params {
  count: u32,
  c: u32, h: u32, w: u32,
  rows: u32, columns: u32,
  stride: u32, top: u32, left: u32,
}
#params Params

@group(0) @binding(0) var<storage, read> phases: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let span = linear_span(workgroup, grid, local, 64u, params.count);
  for (var i = span.start; i < span.end; i += 64u) {
    let row = i / params.w;
    let x = i - row * params.w + params.left;
    let plane = row / params.h;
    let y = row - plane * params.h + params.top;
    let n = plane / params.c;
    let c = plane - n * params.c;
    let qy = y / params.stride;
    let qx = x / params.stride;
    let phase = (y - qy * params.stride) * params.stride + x - qx * params.stride;
    let channel = (n * params.stride * params.stride + phase) * params.c + c;
    out[i] = phases[(channel * params.rows + qy) * params.columns + qx];
  }
}
