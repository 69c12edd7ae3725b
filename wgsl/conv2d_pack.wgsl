// Packs convolution weights for conv2d_tiled: blocks of COLUMNS output channels, innermost, zeros where there are fewer.
//
// out[block][in][ky][kx][COLUMNS] from weight [O, C, kh, kw], with `in` padded to `padded`. TRANSPOSE makes the weights
// of the gradient with respect to the input. The roles of O and C change, and the taps turn by 180°. With a stride S,
// the pixels of the input fall into S² phases by their position modulo S, each with every S-th tap of its own: the
// outputs are (phase, channel), at one S-th of the resolution, and conv2d_interleave puts them together. One invocation
// owns the values of a tap, or of several. Taps are taken in the order in which the weights lie in memory, as far as
// blocks allow: what limits the speed of a large model's weights is how often a page is come back to.

#include linear

struct Params {
  // Blocks · padded inputs · packed taps.
  count: u32,
  // Channels out of and into the convolution that the packed weights are for.
  outputs: u32, inputs: u32, padded: u32,
  // Taps of the weights, and of what is packed.
  kh: u32, kw: u32, rows: u32, columns: u32,
}
#params Params

#const TRANSPOSE: bool = false
// S, where TRANSPOSE. A constant, since dividing by it for every value would take most of the time.
#const STRIDE: u32 = 1
#const COLUMNS: u32 = 16
#const SIZE: u32 = 64
// Weights in half precision stay so.
#const HALF: bool = false
#alias Weight = f32
#if HALF
enable f16;
#end

@group(0) @binding(0) var<storage, read> weight: array<Weight>;
@group(0) @binding(1) var<storage, read_write> out: array<vec4<Weight>>;

fn value(output: u32, input: u32, y: u32, x: u32) -> Weight {
  var inside = output < params.outputs && input < params.inputs;
  var at = ((output * params.inputs + input) * params.rows + y) * params.columns + x;
  if (TRANSPOSE) {
    let channels = params.outputs / (STRIDE * STRIDE);
    let phase = select(output / channels, 0u, STRIDE == 1u);
    let ky = phase / STRIDE + STRIDE * (params.rows - 1u - y);
    let kx = phase % STRIDE + STRIDE * (params.columns - 1u - x);
    inside &= ky < params.kh && kx < params.kw;
    at = ((input * channels + output - phase * channels) * params.kh + ky) * params.kw + kx;
  }
  return select(Weight(), weight[at], inside);
}

@compute @workgroup_size(SIZE)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let taps = params.rows * params.columns;
  let blocks = (params.outputs + COLUMNS - 1u) / COLUMNS;
  let inner = select(params.padded, blocks, TRANSPOSE);
  let span = linear_span(workgroup, grid, local, SIZE, params.count);
  for (var i = span.start; i < span.end; i += SIZE) {
    let row = i / taps;
    let tap = i - row * taps;
    let first = row / inner;
    let second = row - first * inner;
    let block = select(first, second, TRANSPOSE);
    let input = select(second, first, TRANSPOSE);
    let y = tap / params.columns;
    let x = tap - y * params.columns;
    let to = ((block * params.padded + input) * taps + tap) * COLUMNS / 4u;
    for (var q = 0u; q < COLUMNS / 4u; q++) {
      let o = block * COLUMNS + 4u * q;
      out[to + q] =
        vec4(value(o, input, y, x), value(o + 1u, input, y, x), value(o + 2u, input, y, x), value(o + 3u, input, y, x));
    }
  }
}
