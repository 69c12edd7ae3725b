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
// Columns in a loop's step: more where an adapter keeps in memory what a loop changes.
#const COLUMNS: u32 = 1
const EACH = 16u / LANES;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> grad: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

// The input of channel c (from c0) at a row and column; zero outside the map.
fn load(origin: u32, c: u32, row: u32, column: u32) -> f32 {
  return select(0.0, x[origin + (c * params.h + row) * params.w + column], row < params.h && column < params.w);
}

// The sums of four output channels at one tap.
fn store(split: u32, o: u32, c: u32, ky: u32, kx: u32, sums: vec4f) {
  if (c >= params.c) { return; }
  for (var j = 0u; j < 4u; j++) {
    if (o + j < params.o) {
      out[(((split * params.o + o + j) * params.c + c) * params.kh + ky) * params.kw + kx] = sums[j];
    }
  }
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
#for c in CHANNELS
#for ky in TALL
#for s in WIDE
  var window${c}_${ky}_${s} = 0.0;
#for q in 4
  var sum${c}_${ky}_${s}_${q} = vec4f();
#end
#end
#end
#end
  for (var row = split * params.rowsEach; row < end; row++) {
    let n = row / params.ho;
    let oy = row - n * params.ho;
    // Unsigned wrap-around makes coordinates above or left of the map larger than it.
    let y0 = oy * params.stride + ky0 - params.top;
    let x0 = kx0 - params.left;
    let origin = (n * params.c + c0) * params.h * params.w;
    // With stride 1 a window moves by one column, and needs one new input a row of taps.
    if (STEP) {
#for c in CHANNELS
#for ky in TALL
#for s in WIDE
      window${c}_${ky}_${s} = load(origin, ${c}, y0 + ${ky}, x0 + WIDE - 2u - ${s});
#end
#end
#end
    }
    var g = (n * params.o + own) * size + oy * params.wo;
    for (var first = 0u; first < params.wo; first += COLUMNS) {
#for column in COLUMNS
      {
        let ox = first + ${column};
        // Beyond the row: zeros.
        let inside = COLUMNS == 1u || ox < params.wo;
        var f = vec4f(grad[g], grad[g + size], 0.0, 0.0);
        if (EACH == 4u) { f = vec4f(f.xy, grad[g + 2u * size], grad[g + 3u * size]); }
        f = select(vec4f(), f, inside);
        g++;
#for q in 4
        let g${q} = vec4f(
          subgroupBroadcast(f[(4 * ${q}) % EACH], (4 * ${q}) / EACH),
          subgroupBroadcast(f[(4 * ${q} + 1) % EACH], (4 * ${q} + 1) / EACH),
          subgroupBroadcast(f[(4 * ${q} + 2) % EACH], (4 * ${q} + 2) / EACH),
          subgroupBroadcast(f[(4 * ${q} + 3) % EACH], (4 * ${q} + 3) / EACH),
        );
#end
#for c in CHANNELS
#for ky in TALL
        {
          // Slot s holds the column of tap WIDE - 1 - s.
          var next = 0.0;
          if (STEP) { next = load(origin, ${c}, y0 + ${ky}, x0 + ox + WIDE - 1u); }
#for s in WIDE
          if (STEP) {
            let moved = window${c}_${ky}_${s};
            window${c}_${ky}_${s} = next;
            next = moved;
          } else {
            window${c}_${ky}_${s} = load(origin, ${c}, y0 + ${ky}, x0 + ox * params.stride + WIDE - 1u - ${s});
          }
#for q in 4
          sum${c}_${ky}_${s}_${q} = fma(vec4f(window${c}_${ky}_${s}), g${q}, sum${c}_${ky}_${s}_${q});
#end
#end
        }
#end
#end
      }
#end
    }
  }
  if (id >= params.units) { return; }
#for c in CHANNELS
#for ky in TALL
#for s in WIDE
#for q in 4
  store(split, o0 + 4 * ${q}, c0 + ${c}, ky0 + ${ky}, kx0 + WIDE - 1u - ${s}, sum${c}_${ky}_${s}_${q});
#end
#end
#end
#end
}
