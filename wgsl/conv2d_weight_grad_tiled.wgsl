// Gradient of conv2d with respect to the weight: x [N, C, H, W], grad [N, O, Ho, Wo] to out [splits, O, C, kh, kw],
// partial sums that the host adds up.
//
// In registers: an invocation owns 16 output channels × CHANNELS input channels × TALL × WIDE taps, over one part of
// the N·Ho output rows. The lanes of a workgroup take neighbouring taps and input channels of the same part. Along a
// row each keeps its window of inputs: with stride 1 a step loads CHANNELS·TALL new ones. The 16 gradients of a step
// are the same for all lanes: LANES of them load 16 / LANES each and hand them round by subgroup broadcast, since a
// load costs a software adapter as much for a value that all lanes share as for eight different ones. Limited by
// loads: for 3×3 taps, 3 + 16 / LANES for 144 multiply-adds. The order of additions depends on the shape and the
// adapter alone.

enable subgroups;

struct Params {
  // Invocations that cover the weights of 16 output channels; rows of output, and rows in a part.
  units: u32, rows: u32, rowsEach: u32,
  c: u32, h: u32, w: u32,
  o: u32, ho: u32, wo: u32,
  kh: u32, kw: u32, stride: u32, top: u32, left: u32,
}
#params Params

// TALL divides kh, WIDE divides kw.
#const CHANNELS: u32 = 1
#const TALL: u32 = 3
#const WIDE: u32 = 3
// Stride 1.
#const STEP: bool = true
#const LANES: u32 = 8
#const SIZE: u32 = 8
const EACH = 16u / LANES;
const TAPS = TALL * WIDE;
const OWN = CHANNELS * TAPS;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> grad: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

// The input for tap i of this invocation's OWN, at column ix.
fn load(origin: u32, i: u32, y0: u32, ix: u32) -> f32 {
  let ky = i / WIDE % TALL;
  let at = origin + (i / TAPS * params.h + ky) * params.w + ix;
  return select(0.0, x[at], y0 + ky < params.h && ix < params.w);
}

@compute @workgroup_size(SIZE)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_index) local: u32,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  // A unit out of range still takes part in the broadcasts below.
  let id = workgroup.x * SIZE + local;
  let unit = min(id, params.units - 1u);
  let across = params.kw / WIDE;
  let down = params.kh / TALL;
  let kx0 = unit % across * WIDE;
  let ky0 = unit / across % down * TALL;
  let c0 = unit / (across * down) * CHANNELS;
  let o0 = workgroup.y * 16u;
  let split = workgroup.z;
  let size = params.ho * params.wo;
  // The channels that this lane loads. Those beyond the last are other values; their sums are not stored.
  let own = o0 + (lane % LANES) * EACH;
  let end = min((split + 1u) * params.rowsEach, params.rows);
  var sums: array<array<vec4f, 4>, OWN>;
  for (var row = split * params.rowsEach; row < end; row++) {
    let n = row / params.ho;
    let oy = row - n * params.ho;
    // Unsigned wrap-around makes coordinates above or left of the map larger than it.
    let y0 = oy * params.stride + ky0 - params.top;
    let x0 = kx0 - params.left;
    let origin = (n * params.c + c0) * params.h * params.w + y0 * params.w;
    var window: array<f32, OWN>;
    if (STEP) {
      for (var i = 0u; i < OWN; i++) {
        if (i % WIDE != 0u) {
          window[i] = load(origin, i, y0, x0 + i % WIDE - 1u);
        }
      }
    }
    var g = (n * params.o + own) * size + oy * params.wo;
    for (var ox = 0u; ox < params.wo; ox++) {
      for (var i = 0u; i < OWN; i++) {
        if (STEP && i % WIDE + 1u < WIDE) {
          window[i] = window[i + 1u];
        } else {
          window[i] = load(origin, i, y0, x0 + ox * params.stride + i % WIDE);
        }
      }
      var f = vec4f(grad[g], grad[g + size], 0.0, 0.0);
      if (EACH == 4u) { f = vec4f(f.xy, grad[g + 2u * size], grad[g + 3u * size]); }
      g++;
      let g0 = vec4f(
        subgroupBroadcast(f[0u % EACH], 0u / EACH),
        subgroupBroadcast(f[1u % EACH], 1u / EACH),
        subgroupBroadcast(f[2u % EACH], 2u / EACH),
        subgroupBroadcast(f[3u % EACH], 3u / EACH),
      );
      let g1 = vec4f(
        subgroupBroadcast(f[4u % EACH], 4u / EACH),
        subgroupBroadcast(f[5u % EACH], 5u / EACH),
        subgroupBroadcast(f[6u % EACH], 6u / EACH),
        subgroupBroadcast(f[7u % EACH], 7u / EACH),
      );
      let g2 = vec4f(
        subgroupBroadcast(f[8u % EACH], 8u / EACH),
        subgroupBroadcast(f[9u % EACH], 9u / EACH),
        subgroupBroadcast(f[10u % EACH], 10u / EACH),
        subgroupBroadcast(f[11u % EACH], 11u / EACH),
      );
      let g3 = vec4f(
        subgroupBroadcast(f[12u % EACH], 12u / EACH),
        subgroupBroadcast(f[13u % EACH], 13u / EACH),
        subgroupBroadcast(f[14u % EACH], 14u / EACH),
        subgroupBroadcast(f[15u % EACH], 15u / EACH),
      );
      for (var i = 0u; i < OWN; i++) {
        let v = vec4f(window[i]);
        sums[i][0] = fma(v, g0, sums[i][0]);
        sums[i][1] = fma(v, g1, sums[i][1]);
        sums[i][2] = fma(v, g2, sums[i][2]);
        sums[i][3] = fma(v, g3, sums[i][3]);
      }
    }
  }
  if (id >= params.units) { return; }
  for (var i = 0u; i < OWN; i++) {
    let c = c0 + i / TAPS;
    if (c >= params.c) { break; }
    let ky = ky0 + i / WIDE % TALL;
    let kx = kx0 + i % WIDE;
    for (var j = 0u; j < 16u; j++) {
      if (o0 + j < params.o) {
        let to = (((split * params.o + o0 + j) * params.c + c) * params.kh + ky) * params.kw + kx;
        out[to] = sums[i][j / 4u][j % 4u];
      }
    }
  }
}
