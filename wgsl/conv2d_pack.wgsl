// Packs convolution weights for conv2d_tiled: blocks of COLUMNS output channels, innermost, zeros where there are fewer.
//
// out[block][in][ky][kx][COLUMNS] from weight [O, C, kh, kw], with `in` padded to `padded`. TRANSPOSE makes the weights
// of the gradient with respect to the input. The roles of O and C change, and the taps turn by 180°. With a stride S,
// the pixels of the input fall into S² phases by their position modulo S, each with every S-th tap of its own: the
// outputs are (phase, channel), at one S-th of the resolution, and conv2d_interleave puts them together. One invocation
// owns the values of a tap, or of several.

#include linear

struct Params {
  // Blocks · padded inputs · packed taps.
  count: u32,
  // Channels out of and into the convolution that the packed weights are for.
  outputs: u32, inputs: u32, padded: u32,
  // Taps of the weights, and of what is packed.
  kh: u32, kw: u32, rows: u32, columns: u32,
  stride: u32,
}
#params Params

#const TRANSPOSE: bool = false
#const COLUMNS: u32 = 16
// Weights in half precision stay so.
#const HALF: bool = false
#alias Weight = f32
#if HALF
enable f16;
#end

@group(0) @binding(0) var<storage, read> weight: array<Weight>;
@group(0) @binding(1) var<storage, read_write> out: array<Weight>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let taps = params.rows * params.columns;
  let span = linear_span(workgroup, grid, local, 64u, params.count);
  for (var i = span.start; i < span.end; i += 64u) {
    let row = i / taps;
    let tap = i - row * taps;
    let block = row / params.padded;
    let input = row - block * params.padded;
    let y = tap / params.columns;
    let x = tap - y * params.columns;
    for (var j = 0u; j < COLUMNS; j++) {
      let output = block * COLUMNS + j;
      var inside = output < params.outputs && input < params.inputs;
      var source = (output * params.inputs + input) * taps + tap;
      if (TRANSPOSE) {
        let channels = params.outputs / (params.stride * params.stride);
        let phase = output / channels;
        let ky = phase / params.stride + params.stride * (params.rows - 1u - y);
        let kx = phase % params.stride + params.stride * (params.columns - 1u - x);
        inside &= ky < params.kh && kx < params.kw;
        source = ((input * channels + output - phase * channels) * params.kh + ky) * params.kw + kx;
      }
      out[i * COLUMNS + j] = select(Weight(), weight[source], inside);
    }
  }
}
