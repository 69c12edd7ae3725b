// Gradient of conv2d with respect to the weight: x [N, C, H, W], grad [N, O, Ho, Wo] to out [splits, C, kh, kw, O'],
// partial sums over the output's rows that gemm_join adds up and transposes; O' is O rounded up to blocks of 16, so
// that four channels are stored at once (each more store costs lavapipe a tenth of a second of compilation).
//
// A tiled product of (input channel, tap) × pixels × output channels: an invocation owns 16 output channels times
// CHANNELS input channels × TALL × WIDE taps, over one part of the N·Ho output rows. The lanes of a workgroup take
// neighbouring taps and input channels of the same part. A step is four neighbouring pixels of a row, whose taps share
// their inputs; a sum takes its four products one after the other, since there are more sums than registers. The
// gradients of a step are the same for all lanes: with BROADCAST, LANES of them load 16 / LANES channels each and hand
// them round, since a load costs a software adapter as much for a value that all lanes share as for eight different
// ones. Limited by loads: for 3×3 taps and stride 1, 18 inputs and 16 / LANES vectors of four gradients for 576
// multiply-adds. The order of additions depends on the shape and the number of parts alone.
//
// STAGED is the variant for GPUs: output channels are the rows and taps of all input channels the columns of a product
// whose inner dimension are pixels; lanes lie along both, and read gradients and inputs from workgroup memory
// (gemm_tiles). Limited by arithmetic.

struct Params {
  // Invocations that cover the weights of 16 output channels; rows of output, and rows in a part.
  units: u32, rows: u32, rowsEach: u32,
  c: u32, h: u32, w: u32,
  o: u32, ho: u32, wo: u32,
  kh: u32, kw: u32, top: u32, left: u32,
}
#params Params

// TALL divides kh, WIDE divides kw.
#const CHANNELS: u32 = 1
#const TALL: u32 = 3
#const WIDE: u32 = 3
#const STRIDE: u32 = 1
// Columns of input under four pixels: 3 · STRIDE + WIDE.
#const SPAN: u32 = 6
#const BROADCAST: bool = true
// Output channels that an invocation loads: 16 / LANES with BROADCAST, else all 16.
#const EACH: u32 = 2
#const SHARES: u32 = 8
#const SIZE: u32 = 8
// Whether x is stored in half precision; sums are f32.
#const HALF: bool = false
#alias Element = f32
#if HALF
enable f16;
#end
// The output's rows are a multiple of four long.
#const FOUR: bool = false
#if FOUR
alias Grad = vec4f;
#else
alias Grad = f32;
#end

#if BROADCAST
enable subgroups;
#end
#include gemm_lanes
#if STAGED
#const UNITS: u32 = 2
#const COLUMNS: u32 = 8
#const QUADS: u32 = 2
#const STEPS: u32 = 4
#end

@group(0) @binding(0) var<storage, read> x: array<Element>;
@group(0) @binding(1) var<storage, read> grad: array<Grad>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4f>;

fn load(base: u32, column: u32, inside: bool) -> f32 {
  return select(0.0, f32(x[base + column]), inside && column < params.w);
}

// Gradients of four neighbouring pixels, of which `count` belong to the row; the others are zero.
fn load_grad(at: u32, count: u32) -> vec4f {
#if FOUR
  return grad[at / 4u];
#else
  let four = vec4f(grad[at], grad[at + 1u], grad[at + 2u], grad[at + 3u]);
  return select(vec4f(), four, vec4u(0u, 1u, 2u, 3u) < vec4u(count));
#end
}

#if STAGED
const LEFT_ALONG = true;
const RIGHT_ALONG = true;
#include gemm_tiles

// Where a block is read: the first of four output channels; row, column and place in x of four taps.
struct Source {
  channel: u32,
  taps: array<vec3u, 4>,
}

fn tap_at(tap: u32) -> vec3u {
  let line = tap / params.kw;
  let c = line / params.kh;
  let ky = line - c * params.kh;
  let kx = tap - line * params.kw;
  return vec3u(ky, kx, c * params.h * params.w);
}

// Pixels are counted in rows that are padded to a multiple of four.
fn fetch(own: Block, source: Source, pixel: u32) -> mat4x4f {
  let segments = (params.wo + 3u) / 4u;
  let row = pixel / 4u / segments;
  let ox = pixel - row * segments * 4u;
  let n = row / params.ho;
  let oy = row - n * params.ho;
  if (own.left) {
    let size = params.ho * params.wo;
    let at = (n * params.o + source.channel) * size + oy * params.wo + ox;
    return transpose(mat4x4f(
#for e in 4
      load_grad(at + ${e} * size, params.wo - ox),
#end
    ));
  }
  let image = n * params.c * params.h * params.w;
#for e in 4
  // Unsigned wrap-around makes coordinates above or left of the map larger than it.
  let y${e} = oy * STRIDE + source.taps[${e}].x - params.top;
  let x${e} = ox * STRIDE + source.taps[${e}].y - params.left;
  let base${e} = image + source.taps[${e}].z + y${e} * params.w;
#end
  return transpose(mat4x4f(
#for e in 4
    vec4f(
#for p in 4
      load(base${e}, x${e} + ${p} * STRIDE, y${e} < params.h),
#end
    ),
#end
  ));
}
#end

@compute @workgroup_size(SIZE)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_index) local: u32,
#if BROADCAST
  @builtin(subgroup_invocation_id) lane: u32,
#end
) {
  let split = workgroup.z;
  let last_row = min((split + 1u) * params.rowsEach, params.rows);
  // Of out, in vectors of four channels.
  let width = (params.o + 15u) / 16u * 4u;
#if STAGED
  let segments = (params.wo + 3u) / 4u;
  let start = split * params.rowsEach * segments * 4u;
  let end = last_row * segments * 4u;
#for r in BLOCKS
  let own${r} = block_at(local + ${r} * SIZE);
  let tap${r} = (workgroup.y * BREADTH + own${r}.vector) * 4u;
  let source${r} = Source((workgroup.x * HEIGHT + own${r}.vector) * 4u, array<vec3u, 4>(
#for e in 4
    tap_at(tap${r} + ${e}),
#end
  ));
#end
#include gemm_sums
#include gemm_walk
  let first = workgroup.x * HEIGHT + row_lane(local);
  let tap = (workgroup.y * BREADTH + column_lane(local)) * 4u;
  let taps = params.c * params.kh * params.kw;
#for u in UNITS
  if (first + ${u} * DOWN < width) {
#for j in COLUMNS
    if (tap + column_of(${j}) < taps) {
      out[(split * taps + tap + column_of(${j})) * width + first + ${u} * DOWN] = s${u}_${j};
    }
#end
  }
#end
#else
  // A unit out of range still takes part in the broadcasts below.
  let id = workgroup.x * SIZE + local;
  let unit = min(id, params.units - 1u);
  let across = params.kw / WIDE;
  let down = params.kh / TALL;
  let kx0 = unit % across * WIDE;
  let ky0 = unit / across % down * TALL;
  let c0 = unit / (across * down) * CHANNELS;
  let o0 = workgroup.y * 16u;
  let size = params.ho * params.wo;
  let plane = params.h * params.w;
  // The channels that this lane loads. Those beyond the last are other values; their sums are not stored.
#if BROADCAST
  let own = o0 + lane % SHARES * EACH;
#else
  let own = o0;
#end
#for c in CHANNELS
#for ky in TALL
#for s in WIDE
#for q in 4
  var sum${c}_${ky}_${s}_${q} = vec4f();
#end
#end
#end
#end
  for (var row = split * params.rowsEach; row < last_row; row++) {
    let n = row / params.ho;
    let oy = row - n * params.ho;
    // Unsigned wrap-around makes coordinates above or left of the map larger than it.
    let y0 = oy * STRIDE + ky0 - params.top;
    let origin = (n * params.c + c0) * plane + y0 * params.w;
    var g = (n * params.o + own) * size + oy * params.wo;
    for (var ox = 0u; ox < params.wo; ox += 4u) {
      let x0 = ox * STRIDE + kx0 - params.left;
#for c in CHANNELS
      let taps${c} = array<array<f32, SPAN>, TALL>(
#for ky in TALL
        array<f32, SPAN>(
#for s in SPAN
          load(origin + ${c} * plane + ${ky} * params.w, x0 + ${s}, y0 + ${ky} < params.h),
#end
        ),
#end
      );
#end
      let f = array<vec4f, EACH>(
#for e in EACH
        load_grad(g + ${e} * size, params.wo - ox),
#end
      );
      g += 4u;
#for q in 4
      {
#for p in 4
#if BROADCAST
        let g${p} = vec4f(
          subgroupBroadcast(f[(4 * ${q}) % EACH][${p}], (4 * ${q}) / EACH),
          subgroupBroadcast(f[(4 * ${q} + 1) % EACH][${p}], (4 * ${q} + 1) / EACH),
          subgroupBroadcast(f[(4 * ${q} + 2) % EACH][${p}], (4 * ${q} + 2) / EACH),
          subgroupBroadcast(f[(4 * ${q} + 3) % EACH][${p}], (4 * ${q} + 3) / EACH),
        );
#else
        let g${p} = vec4f(f[4 * ${q}][${p}], f[4 * ${q} + 1][${p}], f[4 * ${q} + 2][${p}], f[4 * ${q} + 3][${p}]);
#end
#end
#for c in CHANNELS
#for ky in TALL
#for s in WIDE
#for p in 4
        sum${c}_${ky}_${s}_${q} = fma(vec4f(taps${c}[${ky}][${s} + ${p} * STRIDE]), g${p}, sum${c}_${ky}_${s}_${q});
#end
#end
#end
#end
      }
#end
    }
  }
  if (id >= params.units) { return; }
#for c in CHANNELS
  if (c0 + ${c} < params.c) {
#for ky in TALL
    {
      let tap = ((split * params.c + c0 + ${c}) * params.kh + ky0 + ${ky}) * params.kw + kx0;
#for s in WIDE
#for q in 4
      out[(tap + ${s}) * width + o0 / 4u + ${q}] = sum${c}_${ky}_${s}_${q};
#end
#end
    }
#end
  }
#end
#end
}
