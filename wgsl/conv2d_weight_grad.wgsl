// Gradient of conv2d with respect to the weight: x [N, C, H, W], grad [N, O, Ho, Wo] to out [LANES, O, C, kh, kw],
// partial sums that the host adds up.
//
// An invocation owns eight output channels × all taps for one input channel, 8·KH·KW sums, over one part of the rows
// of the N·Ho output rows; the lanes of a workgroup take neighbouring rows. Along a row it keeps the window of inputs
// in registers: with stride 1 a step loads KH new inputs and eight gradients for 8·KH·KW multiply-adds. Limited by
// loads. The order of additions depends on the shape alone.

struct Params {
  n: u32, c: u32, h: u32, w: u32,
  o: u32, ho: u32, wo: u32,
  stride: u32, top: u32, left: u32,
}
#params Params

#const KH: u32 = 3
#const KW: u32 = 3
// Stride 1.
#const STEP: bool = true
// Lanes of a workgroup, and parts of the sum.
#const LANES: u32 = 64
const TAPS = KH * KW;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> grad: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
  let c = workgroup.x;
  let o = workgroup.y * 8u;
  let size = params.ho * params.wo;
  let rows = params.n * params.ho;
  var low: array<vec4f, TAPS>;
  var high: array<vec4f, TAPS>;
  for (var row = lane; row < rows; row += LANES) {
    let n = row / params.ho;
    let oy = row - n * params.ho;
    // Unsigned wrap-around makes coordinates above or left of the map larger than it.
    let y0 = oy * params.stride - params.top;
    let origin = (n * params.c + c) * params.h * params.w + y0 * params.w;
    let at = (n * params.o + o) * size + oy * params.wo;
    var window: array<f32, TAPS>;
    if (STEP) {
      for (var ky = 0u; ky < KH; ky++) {
        for (var kx = 1u; kx < KW; kx++) {
          let ix = kx - 1u - params.left;
          window[ky * KW + kx] = select(0.0, x[origin + ky * params.w + ix], y0 + ky < params.h && ix < params.w);
        }
      }
    }
    for (var ox = 0u; ox < params.wo; ox++) {
      for (var ky = 0u; ky < KH; ky++) {
        let inside = y0 + ky < params.h;
        let line = origin + ky * params.w;
        for (var kx = 0u; kx < KW; kx++) {
          if (STEP && kx + 1u < KW) {
            window[ky * KW + kx] = window[ky * KW + kx + 1u];
          } else {
            let ix = ox * params.stride + kx - params.left;
            window[ky * KW + kx] = select(0.0, x[line + ix], inside && ix < params.w);
          }
        }
      }
      // Channels beyond the last read other values; their sums are not stored.
      let g = at + ox;
      let a = vec4f(grad[g], grad[g + size], grad[g + 2u * size], grad[g + 3u * size]);
      let b = vec4f(grad[g + 4u * size], grad[g + 5u * size], grad[g + 6u * size], grad[g + 7u * size]);
      for (var k = 0u; k < TAPS; k++) {
        low[k] = fma(vec4f(window[k]), a, low[k]);
        high[k] = fma(vec4f(window[k]), b, high[k]);
      }
    }
  }
  let all = params.o * params.c * TAPS;
  for (var j = 0u; j < 8u; j++) {
    if (o + j < params.o) {
      let to = lane * all + ((o + j) * params.c + c) * TAPS;
      for (var k = 0u; k < TAPS; k++) { out[to + k] = select(low[k][j & 3u], high[k][j & 3u], j >= 4u); }
    }
  }
}
