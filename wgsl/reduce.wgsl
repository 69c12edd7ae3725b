// Sums over the middle dimension of a row-major [outer, reduced, inner] array: out[o, i] = scale · Σ over r of x[o, r, i].
//
// A team of invocations shares one output, each with a strided part of its elements, where they lie together
// (inner = 1). Else each invocation owns one output and walks the reduced dimension, so that neighbours read
// neighbouring addresses. Limited by memory bandwidth. The order of additions depends on the shape and the adapter
// alone, so results repeat bit for bit.

#include linear
#include elements

// Where V = vec4f, reduced counts fours.
struct Params {
  outputs: u32,
  reduced: u32,
  inner: u32,
  scale: f32,
}
#params Params

@group(0) @binding(0) var<storage, read> x: array<V>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;

#const LANES: u32 = 1
#const SIZE: u32 = 64
const TEAMS = SIZE / LANES;

alias Sum = f32;
fn join(a: f32, b: f32) -> f32 {
  return a + b;
}
#choose Team = team_alone

@compute @workgroup_size(SIZE)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let lane = local % LANES;
  let span = linear_span(workgroup, grid, 0u, TEAMS, params.outputs);
  for (var first = span.start; first < span.end; first += TEAMS) {
    // An output out of range still takes part in the joins.
    let in_range = first + local / LANES < params.outputs;
    let output = min(first + local / LANES, params.outputs - 1u);
    let o = output / params.inner;
    let base = o * params.reduced * params.inner + output - o * params.inner;
    var value = 0.0;
    for (var r = lane; r < params.reduced; r += LANES) {
      value += across(x[base + r * params.inner]);
    }
    value = team_join(value, local);
    if (lane == 0u && in_range) { out[output] = value * params.scale; }
  }
}
