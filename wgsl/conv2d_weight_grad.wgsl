// Gradient of conv2d with respect to its weight: x [N, C, H, W], grad [N, O, Ho, Wo] to out [O, C, kh, kw].
//
// One invocation owns one output. Limited by loads.

#include linear

struct Params {
  count: u32, n: u32,
  c: u32, h: u32, w: u32,
  o: u32, ho: u32, wo: u32,
  kh: u32, kw: u32, stride: u32,
  top: u32, left: u32,
}
#params Params

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> grad: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let i = linear_index(workgroup, grid, local, 64u);
  if (i >= params.count) { return; }
  let kx = i % params.kw;
  let ky = (i / params.kw) % params.kh;
  let c = (i / (params.kw * params.kh)) % params.c;
  let o = i / (params.kw * params.kh * params.c);
  var sum = 0.0;
  for (var n = 0u; n < params.n; n++) {
    for (var oy = 0u; oy < params.ho; oy++) {
      let iy = oy * params.stride + ky - params.top;
      if (iy >= params.h) { continue; }
      for (var ox = 0u; ox < params.wo; ox++) {
        let ix = ox * params.stride + kx - params.left;
        if (ix >= params.w) { continue; }
        sum += x[((n * params.c + c) * params.h + iy) * params.w + ix]
          * grad[((n * params.o + o) * params.ho + oy) * params.wo + ox];
      }
    }
  }
  out[i] = sum;
}
