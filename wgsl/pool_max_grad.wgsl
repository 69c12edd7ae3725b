// The gradient of pool_max: each output's gradient goes to the element that its index names.
// grad and indices: [planes, ho, wo] to out: [planes, h, w].
//
// Without atomics: one invocation owns one element of out and visits the windows that may cover it, so that results
// repeat bit for bit. Limited by memory bandwidth.

#include linear
#include windows

struct Params {
  count: u32,
  h: u32, w: u32,
  ho: u32, wo: u32,
  kernel: u32, stride: u32, pad: u32,
}
#params Params

#const ADAPTIVE: bool = false

@group(0) @binding(0) var<storage, read> grad: array<f32>;
@group(0) @binding(1) var<storage, read> indices: array<i32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let span = linear_span(workgroup, grid, local, 64u, params.count);
  for (var i = span.start; i < span.end; i += 64u) {
    let row = i / params.w;
    let plane = row / params.h;
    let y = row - plane * params.h;
    let x = i - row * params.w;
    let me = i32(y * params.w + x);
    let oys = windows_over(ADAPTIVE, y, params.h, params.ho, params.kernel, params.stride, params.pad);
    let oxs = windows_over(ADAPTIVE, x, params.w, params.wo, params.kernel, params.stride, params.pad);
    var sum = 0.0;
    for (var oy = oys.x; oy < oys.y; oy++) {
      let base = (plane * params.ho + oy) * params.wo;
      for (var ox = oxs.x; ox < oxs.y; ox++) {
        if (indices[base + ox] == me) { sum += grad[base + ox]; }
      }
    }
    out[i] = sum;
  }
}
