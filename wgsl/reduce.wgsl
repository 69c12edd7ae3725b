// Sums over the middle dimension of a row-major [outer, reduced, inner] array: out[o, i] = scale · Σ over r of x[o, r, i].
//
// A team of invocations shares one output, each with a strided part of its elements. Where these lie together
// (inner = 1), a team is neighbouring invocations. Else neighbours have neighbouring outputs, so that they read
// neighbouring addresses: each invocation walks one alone or, with ACROSS, shares it with those that are TEAMS further.
// With PARTS, `part` elements of the reduced dimension are an output each: out is [outer, parts, inner], and the host
// launches again to add these up, since few long sums would leave most of a GPU idle. Limited by memory bandwidth. The
// order of additions depends on the shape and the adapter alone, so results repeat bit for bit.

#include linear
#include elements

// Where V = vec4f, reduced and part count fours.
struct Params {
  outputs: u32,
  reduced: u32,
  inner: u32,
  scale: f32,
  parts: u32,
  part: u32,
}
#params Params

@group(0) @binding(0) var<storage, read> x: array<V>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;

#const LANES: u32 = 1
#const SIZE: u32 = 64
#const ACROSS: bool = false
#const PARTS: bool = false
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
  let team = select(local / LANES, local % TEAMS, ACROSS);
  let lane = select(local % LANES, local / TEAMS, ACROSS);
  let span = linear_span(workgroup, grid, 0u, TEAMS, params.outputs);
  for (var first = span.start; first < span.end; first += TEAMS) {
    // An output out of range still takes part in the joins.
    let in_range = first + team < params.outputs;
    let output = min(first + team, params.outputs - 1u);
    var o = output / params.inner;
    let i = output - o * params.inner;
    var start = 0u;
    var end = params.reduced;
    if (PARTS) {
      start = o % params.parts * params.part;
      end = min(start + params.part, params.reduced);
      o /= params.parts;
    }
    let base = o * params.reduced * params.inner + i;
    var value = 0.0;
    for (var r = start + lane; r < end; r += LANES) {
      value += across(x[base + r * params.inner]);
    }
    value = team_join(value, team * LANES + lane);
    if (lane == 0u && in_range) { out[output] = value * params.scale; }
  }
}
