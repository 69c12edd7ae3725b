// Maxima over windows of each plane, and where they are. x: [planes, h, w] to out and indices: [planes, ho, wo]; an
// index counts in the plane, row-major, and is the first of equal maxima. NaN is larger than any number.
//
// Windows, as in PyTorch: kernel² elements from (oy, ox)·stride − pad, or, ADAPTIVE, rows ⌊oy·h/ho⌋ up to
// ⌈(oy + 1)·h/ho⌉ and columns likewise. One invocation owns one output. Limited by memory bandwidth.

#include linear
#include windows
#include nan

struct Params {
  count: u32,
  h: u32, w: u32,
  ho: u32, wo: u32,
  kernel: u32, stride: u32, pad: u32,
}
#params Params

#const ADAPTIVE: bool = false

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read_write> indices: array<i32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let span = linear_span(workgroup, grid, local, 64u, params.count);
  for (var i = span.start; i < span.end; i += 64u) {
    let row = i / params.wo;
    let plane = row / params.ho;
    let ys = window_of(ADAPTIVE, row - plane * params.ho, params.h, params.ho, params.kernel, params.stride, params.pad);
    let xs = window_of(ADAPTIVE, i - row * params.wo, params.w, params.wo, params.kernel, params.stride, params.pad);
    let base = plane * params.h * params.w;
    var best_index = ys.x * params.w + xs.x;
    var best = x[base + best_index];
    var total = 0.0;
    for (var y = ys.x; y < ys.y; y++) {
      for (var column = xs.x; column < xs.y; column++) {
        let index = y * params.w + column;
        let value = x[base + index];
        total += value;
        if (value > best) {
          best = value;
          best_index = index;
        }
      }
    }
    // A sum tells whether one of them is NaN for less than a look at the bits of each.
    if (nan_f32(total)) {
      for (var index = ys.y * params.w; index > ys.x * params.w; index--) {
        let column = (index - 1u) % params.w;
        let value = x[base + index - 1u];
        if (column >= xs.x && column < xs.y && nan_f32(value)) {
          best = value;
          best_index = index - 1u;
        }
      }
    }
    out[i] = best;
    indices[i] = i32(best_index);
  }
}
