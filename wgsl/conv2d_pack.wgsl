// Packs convolution weights for conv2d_tiled: blocks of 16 output channels, innermost, zeros where there are fewer.
//
// out[block][in][ky][kx][16] from weight [O, C, kh, kw]. TRANSPOSE makes the weights of the gradient with respect to
// the input: the roles of O and C change, and the taps are turned by 180°. One invocation owns one value.

#include linear

struct Params {
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
  let step = linear_size(grid, 64u);
  for (var i = linear_index(workgroup, grid, local, 64u); i < params.count; i += step) {
    let row = i / 16u;
    let tap = row % taps;
    let input = (row / taps) % params.inputs;
    let output = row / (taps * params.inputs) * 16u + i % 16u;
    var value = 0.0;
    if (output < params.outputs) {
      if (TRANSPOSE) {
        value = weight[(input * params.outputs + output) * taps + (taps - 1u - tap)];
      } else {
        value = weight[(output * params.inputs + input) * taps + tap];
      }
    }
    out[i] = value;
  }
}
