// Direct 2-D convolution (cross-correlation): x [N, C, H, W], weight [O, C, kh, kw] to out [N, O, Ho, Wo].
//
// One invocation owns one output. Limited by loads.

#include linear

struct Params {
  count: u32,
  c: u32, h: u32, w: u32,
  o: u32, ho: u32, wo: u32,
  kh: u32, kw: u32, stride: u32,
  top: u32, left: u32,
}
#params Params

#const BIAS: bool = false

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let span = linear_span(workgroup, grid, local, 64u, params.count);
  for (var i = span.start; i < span.end; i += 64u) {
    let ox = i % params.wo;
    let oy = (i / params.wo) % params.ho;
    let plane = i / (params.wo * params.ho);
    let o = plane % params.o;
    let n = plane / params.o;
    var sum = 0.0;
    if (BIAS) { sum = bias[o]; }
    for (var c = 0u; c < params.c; c++) {
      for (var ky = 0u; ky < params.kh; ky++) {
        // Unsigned wrap-around makes a row above the map larger than h.
        let iy = oy * params.stride + ky - params.top;
        if (iy >= params.h) { continue; }
        for (var kx = 0u; kx < params.kw; kx++) {
          let ix = ox * params.stride + kx - params.left;
          if (ix >= params.w) { continue; }
          sum += x[((n * params.c + c) * params.h + iy) * params.w + ix]
            * weight[((o * params.c + c) * params.kh + ky) * params.kw + kx];
        }
      }
    }
    out[i] = sum;
  }
}
