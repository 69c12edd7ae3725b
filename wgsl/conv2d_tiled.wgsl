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
// Rows of taps in a loop's step; divides KH. All of them where an adapter keeps in memory what a loop changes.
#const DOWN: u32 = 1
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

#for j in 16
  var s${j} = vec4f();
#end
  // One loop over input channels and rows of taps: each more costs another round of what it changes.
  var ky = 0u;
  for (var step = 0u; step < params.c * (KH / DOWN); step++) {
#for down in DOWN
    {
      let inside = y0 + ky + ${down} < params.h;
      let at = base + (ky + ${down}) * params.w;
      // With stride 1 the next tap needs one new column only.
      var v = vec4f();
      if (STEP) { v = vec4f(0.0, load(at, x0, inside), load(at, x0 + 1u, inside), load(at, x0 + 2u, inside)); }
#for kx in KW
      {
        let column = x0 + ${kx};
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
#for j in 16
        s${j} = fma(v, vec4f(subgroupBroadcast(mine[${j} % EACH], ${j} / EACH)), s${j});
#end
      }
#end
    }
#end
    ky += DOWN;
    if (ky == KH) {
      ky = 0u;
      base += plane;
    }
  }
  if (id >= params.units) { return; }
  let size = params.ho * params.wo;
  let first = block * 16u;
  let at = (n * params.o + first) * size + oy * params.wo + ox;
  let count = params.o - first;
#for j in 16
  if (count > ${j}) { finish(at + ${j} * size, ox, first + ${j}, s${j}); }
#end
}
