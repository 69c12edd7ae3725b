// A strided copy: out[i] = x[base + Σ coordinate·stride], for permutations, slices and flips.
//
// The output is row-major and dense, with up to RANK dimensions d0…d5, right-aligned (missing ones have size 1). A
// stride says how far the input moves along an output dimension; it may be negative. The host coalesces dimensions,
// so that the layouts of networks need two or three. Elements are copied as bits: any 4-byte type. One invocation owns
// one output, or several. Limited by memory bandwidth, where the innermost stride is 1; by uncoalesced reads where it
// is not.

#include linear
#include quotient

struct Params {
  count: u32,
  base: i32,
  d1: u32, d2: u32, d3: u32, d4: u32, d5: u32,
  s0: i32, s1: i32, s2: i32, s3: i32, s4: i32, s5: i32,
}
#params Params

@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read_write> out: array<u32>;

// 2, 4 or 6.
#const RANK: u32 = 6

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let span = linear_span(workgroup, grid, local, 64u, params.count);
  for (var i = span.start; i < span.end; i += 64u) {
    var outer = over(i, params.d5);
    var index = params.base + i32(i - times(outer, params.d5)) * params.s5;
    if (RANK > 2u) {
      let q4 = over(outer, params.d4);
      let q3 = over(q4, params.d3);
      index += i32(outer - times(q4, params.d4)) * params.s4 + i32(q4 - times(q3, params.d3)) * params.s3;
      outer = q3;
      if (RANK > 4u) {
        let q2 = over(outer, params.d2);
        let q1 = over(q2, params.d1);
        index += i32(outer - times(q2, params.d2)) * params.s2 + i32(q2 - times(q1, params.d1)) * params.s1;
        index += i32(q1) * params.s0;
        outer = 0u;
      }
    }
    // The outermost dimension of the smaller ranks.
    if (RANK == 2u) { index += i32(outer) * params.s4; }
    if (RANK == 4u) { index += i32(outer) * params.s2; }
    out[i] = x[index];
  }
}
