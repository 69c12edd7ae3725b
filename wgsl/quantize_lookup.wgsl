// Rows of a codebook laid out as channels: out[n, c, p] = codebook[indices[n, p], c]. One invocation owns one output.
// Limited by memory bandwidth.

#include linear

struct Params {
  count: u32,
  inner: u32,
  channels: u32,
}
#params Params

@group(0) @binding(0) var<storage, read> codebook: array<f32>;
@group(0) @binding(1) var<storage, read> indices: array<i32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let span = linear_span(workgroup, grid, local, 64u, params.count);
  for (var i = span.start; i < span.end; i += 64u) {
    let plane = i / params.inner;
    let sample = plane / params.channels;
    let row = u32(indices[sample * params.inner + i - plane * params.inner]);
    out[i] = codebook[row * params.channels + plane - sample * params.channels];
  }
}
