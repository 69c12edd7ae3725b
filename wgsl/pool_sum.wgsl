// Sums over windows of each plane, and the adjoint. x: [planes, h, w], out: [planes, ho, wo]; the window of (oy, ox)
// starts at (oy, ox)·stride − pad, has kernel² elements, and zeros outside the plane.
//
//     SPREAD = false: out[p, oy, ox] = scale · Σ x over the window         average pooling; upsampling's gradient
//     SPREAD = true:  x[p, iy, ix] = scale · Σ out over the windows that cover it     the adjoint; upsampling
//
// Both gather: one invocation owns one element of the result, or several, so the order of additions is fixed. TILES
// says that the windows lie side by side inside the plane (stride = kernel, no padding). Limited by memory bandwidth.

#include linear
#include quotient

struct Params {
  count: u32,
  h: u32, w: u32,
  ho: u32, wo: u32,
  kernel: u32, stride: u32, pad: u32,
  scale: f32,
  // The result's height and width and the stride, as divisors.
  height: u32, width: u32, step: u32,
}
#params Params

#const SPREAD: bool = false
#const TILES: bool = false
// The window's side where a variant fixes it, else 0.
#const KERNEL: u32 = 0

@group(0) @binding(0) var<storage, read> source: array<f32>;
@group(0) @binding(1) var<storage, read_write> result: array<f32>;

fn window_sum(i: u32) -> f32 {
  let kernel = select(params.kernel, KERNEL, KERNEL > 0u);
  let row = over(i, params.width);
  let plane = over(row, params.height);
  // Unsigned wrap-around makes coordinates before the plane larger than its size.
  let y0 = (row - times(plane, params.height)) * params.stride - params.pad;
  let x0 = (i - times(row, params.width)) * params.stride - params.pad;
  var sum = 0.0;
  for (var ky = 0u; ky < kernel; ky++) {
    let y = y0 + ky;
    if (!TILES && y >= params.h) { continue; }
    let base = (plane * params.h + y) * params.w;
    for (var kx = 0u; kx < kernel; kx++) {
      let x = x0 + kx;
      if (TILES || x < params.w) { sum += source[base + x]; }
    }
  }
  return sum;
}

fn cover_sum(i: u32) -> f32 {
  let row = over(i, params.width);
  let plane = over(row, params.height);
  let y = row - times(plane, params.height) + params.pad;
  let x = i - times(row, params.width) + params.pad;
  // Windows o with o·stride ≤ y < o·stride + kernel.
  let oy1 = over(y, params.step) + 1u;
  let ox1 = over(x, params.step) + 1u;
  if (TILES) {
    let at = (plane * params.ho + oy1 - 1u) * params.wo + ox1 - 1u;
    return select(0.0, source[at], oy1 <= params.ho && ox1 <= params.wo);
  }
  let oy0 = over(max(y + params.stride, params.kernel) - params.kernel, params.step);
  let ox0 = over(max(x + params.stride, params.kernel) - params.kernel, params.step);
  var sum = 0.0;
  for (var oy = oy0; oy < min(oy1, params.ho); oy++) {
    let base = (plane * params.ho + oy) * params.wo;
    for (var ox = ox0; ox < min(ox1, params.wo); ox++) { sum += source[base + ox]; }
  }
  return sum;
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let span = linear_span(workgroup, grid, local, 64u, params.count);
  for (var i = span.start; i < span.end; i += 64u) {
    if (SPREAD) {
      result[i] = cover_sum(i) * params.scale;
    } else {
      result[i] = window_sum(i) * params.scale;
    }
  }
}
