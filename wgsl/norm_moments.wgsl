// What the second-order gradients of group normalisation need of a direction u along x: (μ, r, mean(u), mean(u·x̂)) of
// each group, with x̂ = (x − μ)·r and r = 1/√(σ² + ε) by the forward pass's statistics.
//
// Layout, teams and units as in norm.wgsl; one pass over u and x.

#include linear
#include elements

struct Params {
  groups: u32,
  count: u32, // elements of a group, of type V
}
#params Params

@group(0) @binding(0) var<storage, read> u: array<V>;
@group(0) @binding(1) var<storage, read> x: array<V>;
@group(0) @binding(2) var<storage, read> stats: array<vec2f>;
@group(0) @binding(3) var<storage, read_write> moments: array<vec4f>;

#const LANES: u32 = 8
#const SIZE: u32 = 64
const TEAMS = SIZE / LANES;

alias Sum = vec2f;
fn join(a: Sum, b: Sum) -> Sum {
  return a + b;
}
#choose Team = team_workgroup

@compute @workgroup_size(SIZE)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let lane = local % LANES;
  let span = linear_span(workgroup, grid, 0u, TEAMS, params.groups);
  for (var first = span.start; first < span.end; first += TEAMS) {
    // A group out of range still takes part in the joins.
    let in_range = first + local / LANES < params.groups;
    let group = min(first + local / LANES, params.groups - 1u);
    let base = group * params.count;
    let stat = stats[group];
    var sums = vec2f(0.0);
    for (var i = lane; i < params.count; i += LANES) {
      let direction = u[base + i];
      sums += vec2f(across(direction), across(direction * ((x[base + i] - stat.x) * stat.y)));
    }
    let means = team_join(sums, local) / f32(params.count * WIDTH);
    if (lane == 0u && in_range) { moments[group] = vec4f(stat, means); }
  }
}
