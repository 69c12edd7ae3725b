// 2-D convolution (cross-correlation) with packed weights: x [N, C, H, W] to out [N, O, Ho, Wo], as a tiled product of
// pixels × (input channel, tap) × output channels that never stores the pixels' windows.
//
// A unit is four neighbouring columns of an output row; an invocation owns UNITS neighbouring units (flattened over
// [N, Ho, Wo / 4], so that small maps fill lanes too) times COLUMNS output channels, and walks lines: a row of taps of
// one input channel, or LINES of them a step. The COLUMNS weights of a tap lie together (see conv2d_pack); with
// BROADCAST, SHARES lanes load EACH of them and hand them round, since a load costs a software adapter as much for a
// value that all lanes share as for eight different ones. workgroup_id.z takes a part of the lines (split K): out then
// holds partial sums [splits][N, O, Ho, Wo], which gemm_join adds up. Limited by loads: SPAN · UNITS inputs and
// KW · EACH weights for KW · UNITS · 4 · COLUMNS multiply-adds. The order of additions is that of (c, ky, kx), whatever
// the tile.
//
// STAGED is the variant for GPUs: lanes lie along pixels and output channels, and read inputs and weights from workgroup
// memory (gemm_tiles), where the taps of a slab are put as a matrix; weights are packed for a whole workgroup. Limited by
// arithmetic.

struct Params {
  units: u32,
  c: u32, h: u32, w: u32,
  o: u32, ho: u32, wo: u32,
  segments: u32,
  top: u32, left: u32,
  // Lines of a part, and elements of out in one.
  lines: u32,
  partial: u32,
  // Workgroups along units.
  groups: u32,
}
#params Params

#const KH: u32 = 3
#const KW: u32 = 3
// KH = KW = 1: lines are channels, and packed weights are padded to a multiple of LINES of them.
#const POINTWISE: bool = false
#const STRIDE: u32 = 1
// Columns of input under four outputs: 3 · STRIDE + KW.
#const SPAN: u32 = 6
// Lines in a step; unless POINTWISE, a divisor of KH.
#const LINES: u32 = 1
// Taps in a step: LINES · KW, or four where STAGED.
#const STEPS: u32 = 3
#const UNITS: u32 = 1
#const COLUMNS: u32 = 16
#const BROADCAST: bool = true
// COLUMNS / 4.
#const QUADS: u32 = 4
// Lanes that share a tap's weights, and how many each loads.
#const SHARES: u32 = 8
#const EACH: u32 = 2
// EACH weights, or four without BROADCAST, as stored (a vector of them, where two values are computed with) and as
// computed with.
#alias Chunk = vec2f
#alias Loaded = vec2f
#alias Values = vec2f
#const SIZE: u32 = 64
// Whether weights or elements of x are stored in half precision; sums are f32.
#const HALF: bool = false
#alias Element = f32
#if HALF
enable f16;
#end
#const BIAS: bool = false
#const RESIDUAL: bool = false
// The output's rows are a multiple of four long.
#const FOUR: bool = false
#if FOUR
alias Out = vec4f;
#else
alias Out = f32;
#end
#alias V = vec4f
#include activation
#include folded
#include gemm_lanes

#if BROADCAST
enable subgroups;
#end

@group(0) @binding(0) var<storage, read> x: array<Element>;
@group(0) @binding(1) var<storage, read> weight: array<Chunk>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read> residual: array<Out>;
@group(0) @binding(4) var<storage, read_write> out: array<Out>;

// Where a unit of four outputs begins: its input's row and column above and left of the taps, its output.
struct Unit {
  base: u32, y: u32, x: u32,
  out: u32, column: u32,
}

fn unit_at(id: u32) -> Unit {
  // A unit out of range takes part in the broadcasts, as a copy of the last.
  let unit = min(id, params.units - 1u);
  let row = unit / params.segments;
  let column = (unit - row * params.segments) * 4u;
  let n = row / params.ho;
  let oy = row - n * params.ho;
  // Unsigned wrap-around makes coordinates above or left of the map larger than it.
  let y = oy * STRIDE - params.top;
  let base = n * params.c * params.h * params.w + y * params.w;
  return Unit(base, y, column * STRIDE - params.left, n * params.o * params.ho * params.wo + oy * params.wo + column, column);
}

fn load(base: u32, column: u32, inside: bool) -> f32 {
  return select(0.0, f32(x[base + column]), inside && column < params.w);
}

fn store(at: u32, o: u32, column: u32, sum: vec4f) {
  var value = sum;
#if BIAS
  value += bias[o];
#end
#if FOUR
#if RESIDUAL
  value += residual[at / 4u];
#end
  out[at / 4u] = activate(value);
#else
  let count = params.wo - column;
#for i in 4
#if RESIDUAL
  value[${i}] += residual[at + ${i}];
#end
  if (count > ${i}) { out[at + ${i}] = activate(value)[${i}]; }
#end
#end
}

#if STAGED
const LEFT_ALONG = false;
const RIGHT_ALONG = false;
#include gemm_tiles

// Where a block is read, and where the part's taps end.
struct Source {
  unit: Unit,
  weights: u32,
  end: u32,
}

// Tap k of the inputs' windows at a unit; k counts the taps of all channels.
fn window_at(unit: Unit, k: u32, end: u32) -> vec4f {
  let c = k / (KH * KW);
  let tap = k - c * (KH * KW);
  let ky = tap / KW;
  let base = unit.base + (c * params.h + ky) * params.w;
  let column = unit.x + tap - ky * KW;
  let inside = unit.y + ky < params.h && k < end;
  return vec4f(
#for i in 4
    load(base, column + ${i} * STRIDE, inside),
#end
  );
}

fn fetch(own: Block, source: Source, k: u32) -> mat4x4f {
  if (own.left) {
    return mat4x4f(
#for t in 4
      window_at(source.unit, k + ${t}, source.end),
#end
    );
  }
  return mat4x4f(
#for t in 4
    select(vec4f(), vec4f(weight[source.weights + (k + ${t}) * BREADTH]), k + ${t} < source.end),
#end
  );
}
#end

@compute @workgroup_size(SIZE)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
#if BROADCAST
  @builtin(subgroup_invocation_id) lane: u32,
#end
) {
  let place = folded(workgroup, grid, params.groups);
  let block = place.y;
  let first_line = workgroup.z * params.lines;
  let last_line = min(first_line + params.lines, params.c * KH);
#include gemm_sums
#if STAGED
  if (FOLDED && block * BREADTH * 4u >= params.o) { return; }
  let id = place.x * HEIGHT + row_lane(local);
  let o = (block * BREADTH + column_lane(local)) * 4u;
  let start = first_line * KW;
  let end = last_line * KW;
#for r in BLOCKS
  let own${r} = block_at(local + ${r} * SIZE);
  let source${r} = Source(
    unit_at(place.x * HEIGHT + own${r}.vector), block * params.c * KH * KW * BREADTH + own${r}.vector, end,
  );
#end
#include gemm_walk
#for u in UNITS
  let unit${u} = unit_at(id + ${u} * DOWN);
#end
#else
  let plane = params.h * params.w;
  if (FOLDED && block * COLUMNS >= params.o) { return; }
  let id = (place.x * SIZE + local) * UNITS;
  let o = block * COLUMNS;
#for u in UNITS
  let unit${u} = unit_at(id + ${u});
  var base${u} = unit${u}.base + first_line / KH * plane;
#end
  let all_lines = (params.c * KH + LINES - 1u) / LINES * LINES;
#if BROADCAST
  const STORED = SHARES;
  var chunk = (block * all_lines + first_line) * KW * STORED + lane % SHARES;
#else
  const STORED = COLUMNS / 4u;
  var chunk = (block * all_lines + first_line) * KW * STORED;
#end

  var ky = 0u;
  for (var line = first_line; line < last_line; line += LINES) {
#for u in UNITS
    let rows${u} = array<array<f32, SPAN>, LINES>(
#for i in LINES
      array<f32, SPAN>(
#for s in SPAN
#if POINTWISE
        load(base${u} + ${i} * plane, unit${u}.x + ${s}, unit${u}.y < params.h && line + ${i} < params.c),
#else
        load(base${u} + (ky + ${i}) * params.w, unit${u}.x + ${s}, unit${u}.y + ky + ${i} < params.h),
#end
#end
      ),
#end
    );
#end
#for t in STEPS
#if BROADCAST
    let w${t} = Values(Loaded(weight[chunk + ${t} * STORED]));
#else
    let w${t} = array<vec4f, STORED>(
#for q in QUADS
      vec4f(weight[chunk + ${t} * STORED + ${q}]),
#end
    );
#end
#for u in UNITS
    let v${u}_${t} = vec4f(
      rows${u}[${t} / KW][${t} % KW],
      rows${u}[${t} / KW][${t} % KW + STRIDE],
      rows${u}[${t} / KW][${t} % KW + 2 * STRIDE],
      rows${u}[${t} / KW][${t} % KW + 3 * STRIDE],
    );
#end
#end
    chunk += STEPS * STORED;
#include gemm_step
#if POINTWISE
#for u in UNITS
    base${u} += LINES * plane;
#end
#else
    ky += LINES;
    if (ky == KH) {
      ky = 0u;
#for u in UNITS
      base${u} += plane;
#end
    }
#end
  }
#end

  let size = params.ho * params.wo;
#for u in UNITS
  if (id + ${u} * DOWN < params.units) {
    let at = workgroup.z * params.partial + unit${u}.out + o * size;
#for j in COLUMNS
    if (o + column_of(${j}) < params.o) {
      store(at + column_of(${j}) * size, o + column_of(${j}), unit${u}.column, s${u}_${j});
    }
#end
  }
#end
}
