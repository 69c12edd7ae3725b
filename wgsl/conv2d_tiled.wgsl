// 2-D convolution (cross-correlation) with packed weights: x [N, C, H, W] to out [N, O, Ho, Wo].
//
// Direct, in registers: an invocation owns PX = 4 neighbouring columns of a row for 16 output channels, 64 sums, and
// walks input channels and taps. Lanes hold neighbouring segments of the flattened [N, Ho, Wo / 4] units, so that
// small maps fill them too. The 16 weights of a tap lie together (see conv2d_pack): LANES lanes load 16 / LANES each
// and hand them round by subgroup broadcast, since a load costs a software adapter as much for a value that all lanes
// share as for eight different ones.  Limited by loads: 4 + 16 / LANES
// for 64 multiply-adds.
// The order of additions depends on the shape alone.

enable subgroups;

struct Params {
  units: u32,
  c: u32, h: u32, w: u32,
  o: u32, ho: u32, wo: u32,
  segments: u32,
  stride: u32, top: u32, left: u32,
}
#params Params

#const KH: u32 = 3
#const KW: u32 = 3
#const LANES: u32 = 8
#const SIZE: u32 = 64
#const BIAS: bool = false
// Stride 1.
#const STEP: bool = true
// f32, or vec4f where the output's rows are a multiple of four long (then with store_four).
#alias Out = f32
#choose Store = store_each
// 16 / LANES weights.
#alias Chunk = vec2f

const EACH = 16u / LANES;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> weight: array<Chunk>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<Out>;

fn load(base: u32, column: u32, inside: bool) -> f32 {
  return select(0.0, x[base + column], inside && column < params.w);
}

fn finish(at: u32, column: u32, o: u32, value: vec4f) {
  store(at, params.wo - column, value + select(0.0, bias[o], BIAS));
}

@compute @workgroup_size(SIZE)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_index) local: u32,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let block = workgroup.y;
  let id = workgroup.x * SIZE + local;
  // A unit out of range still takes part in the broadcasts below.
  let unit = min(id, params.units - 1u);
  let row = unit / params.segments;
  let ox = (unit - row * params.segments) * 4u;
  let n = row / params.ho;
  let oy = row - n * params.ho;
  // Unsigned wrap-around makes coordinates above or left of the map larger than it.
  let y0 = oy * params.stride - params.top;
  let x0 = ox * params.stride - params.left;
  let plane = params.h * params.w;
  var base = n * params.c * plane + y0 * params.w;
  var chunk = block * params.c * KH * KW * LANES + lane % LANES;

  var s00 = vec4f(); var s01 = vec4f(); var s02 = vec4f(); var s03 = vec4f();
  var s04 = vec4f(); var s05 = vec4f(); var s06 = vec4f(); var s07 = vec4f();
  var s08 = vec4f(); var s09 = vec4f(); var s10 = vec4f(); var s11 = vec4f();
  var s12 = vec4f(); var s13 = vec4f(); var s14 = vec4f(); var s15 = vec4f();
  for (var c = 0u; c < params.c; c++) {
    for (var ky = 0u; ky < KH; ky++) {
      let inside = y0 + ky < params.h;
      let at = base + ky * params.w;
      // With stride 1 the next tap needs one new column only.
      var v = vec4f();
      if (STEP) { v = vec4f(0.0, load(at, x0, inside), load(at, x0 + 1u, inside), load(at, x0 + 2u, inside)); }
      for (var kx = 0u; kx < KW; kx++) {
        let column = x0 + kx;
        if (STEP) {
          v = vec4f(v.yzw, load(at, column + 3u, inside));
        } else {
          v = vec4f(
            load(at, column, inside),
            load(at, column + params.stride, inside),
            load(at, column + 2u * params.stride, inside),
            load(at, column + 3u * params.stride, inside),
          );
        }
        let mine = weight[chunk];
        chunk += LANES;
        s00 = fma(v, vec4f(subgroupBroadcast(mine[0u % EACH], 0u / EACH)), s00);
        s01 = fma(v, vec4f(subgroupBroadcast(mine[1u % EACH], 1u / EACH)), s01);
        s02 = fma(v, vec4f(subgroupBroadcast(mine[2u % EACH], 2u / EACH)), s02);
        s03 = fma(v, vec4f(subgroupBroadcast(mine[3u % EACH], 3u / EACH)), s03);
        s04 = fma(v, vec4f(subgroupBroadcast(mine[4u % EACH], 4u / EACH)), s04);
        s05 = fma(v, vec4f(subgroupBroadcast(mine[5u % EACH], 5u / EACH)), s05);
        s06 = fma(v, vec4f(subgroupBroadcast(mine[6u % EACH], 6u / EACH)), s06);
        s07 = fma(v, vec4f(subgroupBroadcast(mine[7u % EACH], 7u / EACH)), s07);
        s08 = fma(v, vec4f(subgroupBroadcast(mine[8u % EACH], 8u / EACH)), s08);
        s09 = fma(v, vec4f(subgroupBroadcast(mine[9u % EACH], 9u / EACH)), s09);
        s10 = fma(v, vec4f(subgroupBroadcast(mine[10u % EACH], 10u / EACH)), s10);
        s11 = fma(v, vec4f(subgroupBroadcast(mine[11u % EACH], 11u / EACH)), s11);
        s12 = fma(v, vec4f(subgroupBroadcast(mine[12u % EACH], 12u / EACH)), s12);
        s13 = fma(v, vec4f(subgroupBroadcast(mine[13u % EACH], 13u / EACH)), s13);
        s14 = fma(v, vec4f(subgroupBroadcast(mine[14u % EACH], 14u / EACH)), s14);
        s15 = fma(v, vec4f(subgroupBroadcast(mine[15u % EACH], 15u / EACH)), s15);
      }
    }
    base += plane;
  }
  if (id >= params.units) { return; }
  let size = params.ho * params.wo;
  let first = block * 16u;
  let at = (n * params.o + first) * size + oy * params.wo + ox;
  let count = params.o - first;
  finish(at, ox, first, s00);
  if (count > 1u) { finish(at + size, ox, first + 1u, s01); }
  if (count > 2u) { finish(at + 2u * size, ox, first + 2u, s02); }
  if (count > 3u) { finish(at + 3u * size, ox, first + 3u, s03); }
  if (count > 4u) { finish(at + 4u * size, ox, first + 4u, s04); }
  if (count > 5u) { finish(at + 5u * size, ox, first + 5u, s05); }
  if (count > 6u) { finish(at + 6u * size, ox, first + 6u, s06); }
  if (count > 7u) { finish(at + 7u * size, ox, first + 7u, s07); }
  if (count > 8u) { finish(at + 8u * size, ox, first + 8u, s08); }
  if (count > 9u) { finish(at + 9u * size, ox, first + 9u, s09); }
  if (count > 10u) { finish(at + 10u * size, ox, first + 10u, s10); }
  if (count > 11u) { finish(at + 11u * size, ox, first + 11u, s11); }
  if (count > 12u) { finish(at + 12u * size, ox, first + 12u, s12); }
  if (count > 13u) { finish(at + 13u * size, ox, first + 13u, s13); }
  if (count > 14u) { finish(at + 14u * size, ox, first + 14u, s14); }
  if (count > 15u) { finish(at + 15u * size, ox, first + 15u, s15); }
}
