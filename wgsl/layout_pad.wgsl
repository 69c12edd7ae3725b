// Constant padding and cropping: out[c] = x[c - before] where that lies in x, else value.
//
// Up to four dimensions, outermost first: sizes d of the output (the outermost follows from count), sizes n of the
// input, and elements put before (cropped, if negative). The host merges unpadded dimensions into their outer
// neighbour. Elements are copied as bits: any 4-byte type.
// One invocation owns one output, or several. Limited by memory bandwidth.

#include linear
#include quotient

struct Params {
  count: u32,
  value: u32,
  d1: u32, d2: u32, d3: u32,
  n0: u32, n1: u32, n2: u32, n3: u32,
  b0: i32, b1: i32, b2: i32, b3: i32,
}
#params Params

@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read_write> out: array<u32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let span = linear_span(workgroup, grid, local, 64u, params.count);
  for (var i = span.start; i < span.end; i += 64u) {
    let q2 = over(i, params.d3);
    let q1 = over(q2, params.d2);
    let q0 = over(q1, params.d1);
    // What lies before the input wraps to a large number, so one comparison catches both sides.
    let c3 = u32(i32(i - times(q2, params.d3)) - params.b3);
    let c2 = u32(i32(q2 - times(q1, params.d2)) - params.b2);
    let c1 = u32(i32(q1 - times(q0, params.d1)) - params.b1);
    let c0 = u32(i32(q0) - params.b0);
    if (c0 < params.n0 && c1 < params.n1 && c2 < params.n2 && c3 < params.n3) {
      out[i] = x[((c0 * params.n1 + c1) * params.n2 + c2) * params.n3 + c3];
    } else {
      out[i] = params.value;
    }
  }
}
