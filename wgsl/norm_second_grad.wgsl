// Gradient with respect to x of ⟨u, dx⟩, where dx is what norm_input_grad gives (without activation): the second-order
// gradient of group normalisation. With h = weight·g, x̂ = (x − μ)·r, a = mean(u·x̂), b = mean(h·x̂) and
// P(v) = v − mean(v) − x̂·mean(v·x̂), all means over the group:
//
//     dxx = −r²·( x̂·(mean(u·h) − mean(u)·mean(h) − a·b) + b·P(u) + a·P(h) )
//
// It follows from dx = r·P(h), dr = −r²·mean(x̂·δx) and δx̂ = r·P(δx). Layout, teams and units as in norm.wgsl; two
// passes over u, g and x.

#include linear
#include elements
#include channel_walk

struct Params {
  groups: u32,
  groups_per_sample: u32,
  channels: u32,
  inner: u32,
}
#params Params

#alias W = f32

@group(0) @binding(0) var<storage, read> u: array<V>;
@group(0) @binding(1) var<storage, read> g: array<V>;
@group(0) @binding(2) var<storage, read> x: array<V>;
@group(0) @binding(3) var<storage, read> stats: array<vec2f>;
@group(0) @binding(4) var<storage, read> weight: array<W>;
@group(0) @binding(5) var<storage, read_write> dxx: array<V>;

#const LANES: u32 = 8
#const SIZE: u32 = 64
const TEAMS = SIZE / LANES;
#const WEIGHT: bool = true

alias Sum = vec3f;
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
  let count = params.channels * params.inner;
  let span = linear_span(workgroup, grid, 0u, TEAMS, params.groups);
  for (var first = span.start; first < span.end; first += TEAMS) {
    let in_range = first + local / LANES < params.groups;
    let group = min(first + local / LANES, params.groups - 1u);
    let base = group * count;
    let mean = stats[group].x;
    let r = stats[group].y;
    let start = channel_walk(group % params.groups_per_sample * params.channels, lane, LANES, params.inner);
    var plain = vec3f(0.0); // Σu, Σh, Σu·h
    var along = vec3f(0.0); // Σu·x̂, Σh·x̂
    var walk = start;
    for (var i = lane; i < count; i += LANES) {
      let normalised = (x[base + i] - mean) * r;
      let uu = u[base + i];
      var h = g[base + i];
      if (WEIGHT) { h *= V(weight[walk.channel]); }
      plain += vec3f(across(uu), across(h), across(uu * h));
      along += vec3f(across(uu * normalised), across(h * normalised), 0.0);
      channel_next(&walk, params.inner);
    }
    plain = team_join(plain, local) / f32(count * WIDTH);
    along = team_join(along, local) / f32(count * WIDTH);
    if (in_range) {
      let joint = plain.z - plain.x * plain.y - along.x * along.y;
      walk = start;
      for (var i = lane; i < count; i += LANES) {
        let normalised = (x[base + i] - mean) * r;
        var h = g[base + i];
        if (WEIGHT) { h *= V(weight[walk.channel]); }
        let projected_u = u[base + i] - plain.x - normalised * along.x;
        let projected_h = h - plain.y - normalised * along.y;
        dxx[base + i] = -r * r * (normalised * joint + along.y * projected_u + along.x * projected_h);
        channel_next(&walk, params.inner);
      }
    }
  }
}
