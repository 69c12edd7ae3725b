// Joins up to four inputs along one dimension, as a part of an output that may have more.
//
// Seen as [outer, segment], an input's rows are the elements of the joined and all inner dimensions. The inputs' rows
// a, b, c, d follow each other from `offset` in the output's rows of `segment` elements; e1…e3 are where b, c and d
// begin in the joined row of `joined` elements (unused inputs begin at its end). Elements are copied as bits.
// One invocation owns one output of these inputs, or several. Limited by memory bandwidth.

#include linear
#include quotient

struct Params {
  count: u32,
  joined: u32,
  segment: u32,
  offset: u32,
  e1: u32, e2: u32, e3: u32,
}
#params Params

@group(0) @binding(0) var<storage, read> a: array<u32>;
@group(0) @binding(1) var<storage, read> b: array<u32>;
@group(0) @binding(2) var<storage, read> c: array<u32>;
@group(0) @binding(3) var<storage, read> d: array<u32>;
@group(0) @binding(4) var<storage, read_write> out: array<u32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let span = linear_span(workgroup, grid, local, 64u, params.count);
  for (var i = span.start; i < span.end; i += 64u) {
    let row = over(i, params.joined);
    let r = i - times(row, params.joined);
    var value: u32;
    if (r < params.e1) {
      value = a[row * params.e1 + r];
    } else if (r < params.e2) {
      value = b[row * (params.e2 - params.e1) + r - params.e1];
    } else if (r < params.e3) {
      value = c[row * (params.e3 - params.e2) + r - params.e2];
    } else {
      value = d[times(row, params.joined) - row * params.e3 + r - params.e3];
    }
    out[row * params.segment + params.offset + r] = value;
  }
}
