// Gradient with respect to x of ⟨u, dx⟩, where dx is what norm_input_grad gives (without activation): the second-order
// gradient of group normalisation. With h = weight·g, x̂ = (x − μ)·r, a = mean(u·x̂), b = mean(h·x̂) and
// P(v) = v − mean(v) − x̂·mean(v·x̂), all means over the group:
//
//     dxx = −r²·( x̂·(mean(u·h) − mean(u)·mean(h) − a·b) + b·P(u) + a·P(h) )
//
// It follows from dx = r·P(h), dr = −r²·mean(x̂·δx) and δx̂ = r·P(δx). Layout, lanes and limits as in norm.wgsl; two
// passes over u, g and x.

#include linear
#include group_sum
#include channel_walk

struct Params {
  groups: u32,
  groups_per_sample: u32,
  channels: u32,
  inner: u32,
}
#params Params

@group(0) @binding(0) var<storage, read> u: array<f32>;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> stats: array<vec2f>;
@group(0) @binding(4) var<storage, read> weight: array<f32>;
@group(0) @binding(5) var<storage, read_write> dxx: array<f32>;

// (Σu, Σh, Σu·h), (Σu·x̂, Σh·x̂, unused)
alias Sum = mat2x3f;
#const LANES: u32 = 8
const SIZE = max(64u, LANES);
#const WEIGHT: bool = true

@compute @workgroup_size(SIZE)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let id = linear_index(workgroup, grid, local, SIZE);
  let lane = id % LANES;
  let in_range = id / LANES < params.groups;
  let group = min(id / LANES, params.groups - 1u);
  let count = params.channels * params.inner;
  let base = group * count;
  let mean = stats[group].x;
  let r = stats[group].y;
  let start = channel_walk(group % params.groups_per_sample * params.channels, lane, LANES, params.inner);
  var plain = vec3f(0.0);
  var along = vec3f(0.0);
  var walk = start;
  for (var i = lane; i < count; i += LANES) {
    let normalised = (x[base + i] - mean) * r;
    let uu = u[base + i];
    var h = g[base + i];
    if (WEIGHT) { h *= weight[walk.channel]; }
    plain += vec3f(uu, h, uu * h);
    along += vec3f(uu * normalised, h * normalised, 0.0);
    channel_next(&walk, params.inner);
  }
  let means = group_sum(mat2x3f(plain, along), local) * (1.0 / f32(count));
  if (!in_range) { return; }
  let mean_u = means[0].x;
  let mean_h = means[0].y;
  let a = means[1].x;
  let b = means[1].y;
  let joint = means[0].z - mean_u * mean_h - a * b;
  walk = start;
  for (var i = lane; i < count; i += LANES) {
    let normalised = (x[base + i] - mean) * r;
    var h = g[base + i];
    if (WEIGHT) { h *= weight[walk.channel]; }
    let projected_u = u[base + i] - mean_u - normalised * a;
    let projected_h = h - mean_h - normalised * b;
    dxx[base + i] = -r * r * (normalised * joint + b * projected_u + a * projected_h);
    channel_next(&walk, params.inner);
  }
}
