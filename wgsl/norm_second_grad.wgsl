// The second-order gradient of group normalisation with respect to x: that of
//
//     ⟨u, dx⟩ + ⟨directions, (dweight, dbias)⟩ = Σ g·f′(z)·q
//
// where norm_input_grad and norm_weight_grad give dx, dweight and dbias, f is the activation, and z and q are those of
// include/norm_tangent.wgsl. With e = g·f′(z), h = weight·e, a = mean(u·x̂), b = mean(h·x̂), the direction v of the weight
// and P(y) = y − mean(y) − x̂·mean(y·x̂), all means over the group, it is
//
//     r·P(k) − r²·( x̂·(mean(u·h) − mean(u)·mean(h) − a·b) + b·P(u) + a·P(h) ),   k = v·e + weight·g·f″(z)·q
//
// It follows from dr = −r²·mean(x̂·δx) and δx̂ = r·P(δx): the second term is the gradient of ⟨u, r·P(h)⟩ for a constant h,
// and k what reaches x̂ besides. Layout, teams and units as in norm.wgsl; two passes over u, g and x.

#include linear
#include elements
#include activation
#include channel_walk

struct Params {
  groups: u32,
  groups_per_sample: u32,
  channels: u32, // in a group
  inner: u32,
}
#params Params

#alias W = f32

@group(0) @binding(0) var<storage, read> u: array<V>;
@group(0) @binding(1) var<storage, read> g: array<V>;
@group(0) @binding(2) var<storage, read> x: array<V>;
@group(0) @binding(3) var<storage, read> moments: array<vec4f>;
@group(0) @binding(4) var<storage, read> directions: array<W>;
@group(0) @binding(5) var<storage, read> weight: array<W>;
@group(0) @binding(6) var<storage, read> bias: array<W>;
@group(0) @binding(7) var<storage, read_write> dxx: array<V>;

#const LANES: u32 = 8
#const SIZE: u32 = 64
const TEAMS = SIZE / LANES;
#const WEIGHT: bool = true
#const BIAS: bool = true
#include norm_tangent

alias Sum = vec3f;
fn join(a: Sum, b: Sum) -> Sum {
  return a + b;
}
#choose Team = team_workgroup

struct Terms {
  normalised: V,
  h: V,
  k: V,
}

fn terms_of(index: u32, channel: u32, m: vec4f) -> Terms {
  let normalised = (x[index] - m.x) * m.y;
  let z = before_activation(normalised, channel);
  let e = g[index] * activation_slope(z);
  var k = e * V(directions[channel]);
  if (ACTIVATION == SILU) {
    let q = tangent(
      direction_x(u[index], normalised, m), normalised, channel, params.channels * params.groups_per_sample,
    );
    k += scale_of(channel) * g[index] * activation_curvature(z) * q;
  }
  return Terms(normalised, e * scale_of(channel), k);
}

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
    let m = moments[group];
    let start = channel_walk(group % params.groups_per_sample * params.channels, lane, LANES, params.inner);
    var of_h = vec3f(0.0); // Σh, Σh·x̂, Σu·h
    var of_k = vec3f(0.0); // Σk, Σk·x̂
    var walk = start;
    for (var i = lane; i < count; i += LANES) {
      let t = terms_of(base + i, walk.channel, m);
      of_h += vec3f(across(t.h), across(t.h * t.normalised), across(t.h * u[base + i]));
      of_k += vec3f(across(t.k), across(t.k * t.normalised), 0.0);
      channel_next(&walk, params.inner);
    }
    of_h = team_join(of_h, local) / f32(count * WIDTH);
    of_k = team_join(of_k, local) / f32(count * WIDTH);
    if (in_range) {
      let joint = of_h.z - m.z * of_h.x - m.w * of_h.y;
      walk = start;
      for (var i = lane; i < count; i += LANES) {
        let t = terms_of(base + i, walk.channel, m);
        let projected_u = u[base + i] - m.z - t.normalised * m.w;
        let projected_h = t.h - of_h.x - t.normalised * of_h.y;
        let projected_k = t.k - of_k.x - t.normalised * of_k.y;
        dxx[base + i] =
          m.y * (projected_k - m.y * (t.normalised * joint + of_h.y * projected_u + m.w * projected_h));
        channel_next(&walk, params.inner);
      }
    }
  }
}
