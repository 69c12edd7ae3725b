// Gradient of conv2d with respect to its input: grad [N, O, Ho, Wo], weight [O, C, kh, kw] to out [N, C, H, W].
//
// One invocation owns one output and gathers the windows that cover it. Limited by loads.

#include linear

struct Params {
  count: u32,
  c: u32, h: u32, w: u32,
  o: u32, ho: u32, wo: u32,
  kh: u32, kw: u32, stride: u32,
  top: u32, left: u32,
}
#params Params

@group(0) @binding(0) var<storage, read> grad: array<f32>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let span = linear_span(workgroup, grid, local, 64u, params.count);
  for (var i = span.start; i < span.end; i += 64u) {
    let ix = i % params.w;
    let iy = (i / params.w) % params.h;
    let plane = i / (params.w * params.h);
    let c = plane % params.c;
    let n = plane / params.c;
    var sum = 0.0;
    for (var ky = 0u; ky < params.kh; ky++) {
      let sy = iy + params.top - ky;
      if (sy % params.stride != 0u || sy / params.stride >= params.ho) { continue; }
      let oy = sy / params.stride;
      for (var kx = 0u; kx < params.kw; kx++) {
        let sx = ix + params.left - kx;
        if (sx % params.stride != 0u || sx / params.stride >= params.wo) { continue; }
        let ox = sx / params.stride;
        for (var o = 0u; o < params.o; o++) {
          sum += grad[((n * params.o + o) * params.ho + oy) * params.wo + ox]
            * weight[((o * params.c + c) * params.kh + ky) * params.kw + kx];
        }
      }
    }
    out[i] = sum;
  }
}
