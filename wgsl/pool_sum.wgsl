// Sums over windows of each plane, and the adjoint. x: [planes, h, w], out: [planes, ho, wo]; the window of (oy, ox)
// starts at (oy, ox)·stride − pad, has kernel² elements, and zeros outside the plane.
//
//     SPREAD = false: out[p, oy, ox] = scale · Σ x over the window         average pooling; upsampling's gradient
//     SPREAD = true:  x[p, iy, ix] = scale · Σ out over the windows that cover it     the adjoint; upsampling
//
// Both gather: one invocation owns one element of the result, so the order of additions is fixed. Limited by memory
// bandwidth.

#include linear

struct Params {
  count: u32,
  h: u32, w: u32,
  ho: u32, wo: u32,
  kernel: u32, stride: u32, pad: u32,
  scale: f32,
}
#params Params

#const SPREAD: bool = false

@group(0) @binding(0) var<storage, read> source: array<f32>;
@group(0) @binding(1) var<storage, read_write> result: array<f32>;

fn window_sum(i: u32) -> f32 {
  let row = i / params.wo;
  let plane = row / params.ho;
  // Unsigned wrap-around makes coordinates before the plane larger than its size.
  let y0 = (row - plane * params.ho) * params.stride - params.pad;
  let x0 = (i - row * params.wo) * params.stride - params.pad;
  var sum = 0.0;
  for (var ky = 0u; ky < params.kernel; ky++) {
    let y = y0 + ky;
    if (y >= params.h) { continue; }
    let base = (plane * params.h + y) * params.w;
    for (var kx = 0u; kx < params.kernel; kx++) {
      let x = x0 + kx;
      if (x < params.w) { sum += source[base + x]; }
    }
  }
  return sum;
}

fn cover_sum(i: u32) -> f32 {
  let row = i / params.w;
  let plane = row / params.h;
  let y = row - plane * params.h + params.pad;
  let x = i - row * params.w + params.pad;
  // Windows o with o·stride ≤ y < o·stride + kernel.
  let oy0 = (max(y + params.stride, params.kernel) - params.kernel) / params.stride;
  let ox0 = (max(x + params.stride, params.kernel) - params.kernel) / params.stride;
  let oy1 = min(y / params.stride + 1u, params.ho);
  let ox1 = min(x / params.stride + 1u, params.wo);
  var sum = 0.0;
  for (var oy = oy0; oy < oy1; oy++) {
    let base = (plane * params.ho + oy) * params.wo;
    for (var ox = ox0; ox < ox1; ox++) { sum += source[base + ox]; }
  }
  return sum;
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let i = linear_index(workgroup, grid, local, 64u);
  if (i >= params.count) { return; }
  if (SPREAD) {
    result[i] = cover_sum(i) * params.scale;
  } else {
    result[i] = window_sum(i) * params.scale;
  }
}
