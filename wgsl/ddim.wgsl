// One step of DDIM sampling with guidance and residual is a linear combination of at most five tensors, with
// coefficients that the host works out in float64: out = Σ coefficientₖ·termₖ. One invocation owns one element.
// Limited by memory bandwidth; terms beyond TERMS are bound but not read.

#include linear

struct Params {
  count: u32,
  ca: f32, cb: f32, cc: f32, cd: f32, ce: f32,
}
#params Params

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read> c: array<f32>;
@group(0) @binding(3) var<storage, read> d: array<f32>;
@group(0) @binding(4) var<storage, read> e: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;

#const TERMS: u32 = 5

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let span = linear_span(workgroup, grid, local, 64u, params.count);
  for (var i = span.start; i < span.end; i += 64u) {
    var sum = params.ca * a[i];
    if (TERMS > 1u) { sum += params.cb * b[i]; }
    if (TERMS > 2u) { sum += params.cc * c[i]; }
    if (TERMS > 3u) { sum += params.cd * d[i]; }
    if (TERMS > 4u) { sum += params.ce * e[i]; }
    out[i] = sum;
  }
}
