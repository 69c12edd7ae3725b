// Packs convolution weights for conv2d_tiled: blocks of 16 output channels, innermost, zeros where there are fewer.
//
// out[block][in][ky][kx][16] from weight [O, C, kh, kw]. TRANSPOSE makes the weights of the gradient with respect to
// the input: the roles of O and C change, and the taps are turned by 180°. One invocation owns the 16 values of
// a tap, or of several.

#include linear

struct Params {
  // Blocks · inputs · taps.
  count: u32,
  // Channels out of and into the convolution that the packed weights are for.
  outputs: u32,
  inputs: u32,
  kh: u32, kw: u32,
}
#params Params

#const TRANSPOSE: bool = false

@group(0) @binding(0) var<storage, read> weight: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let taps = params.kh * params.kw;
  let span = linear_span(workgroup, grid, local, 64u, params.count);
  for (var i = span.start; i < span.end; i += 64u) {
    let row = i / taps;
    let tap = i - row * taps;
    let block = row / params.inputs;
    let input = row - block * params.inputs;
    for (var j = 0u; j < 16u; j++) {
      let output = block * 16u + j;
      var source = (output * params.inputs + input) * taps + tap;
      if (TRANSPOSE) { source = (input * params.outputs + output) * taps + (taps - 1u - tap); }
      out[i * 16u + j] = select(0.0, weight[source], output < params.outputs);
    }
  }
}
