// Where the largest element lies along the middle dimension of a row-major [outer, reduced, inner] array; the first of
// equals. NaN is larger than any number.
//
// LANES invocations share one output, as in reduce.wgsl: with LANES > 1 (inner = 1) each takes a strided part and a
// tree in workgroup memory joins them; of equal elements the one with the lower index wins, whatever the lanes.
// Limited by memory bandwidth.

#include linear
#include order

struct Params {
  outputs: u32,
  reduced: u32,
  inner: u32,
}
#params Params

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<i32>;

#const LANES: u32 = 1
const SIZE = 64u;

var<workgroup> values: array<f32, SIZE>;
var<workgroup> places: array<u32, SIZE>;

@compute @workgroup_size(SIZE)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let id = linear_index(workgroup, grid, local, SIZE);
  let output = id / LANES;
  let lane = id % LANES;
  // An output out of range still takes part in the barriers below.
  let safe = min(output, params.outputs - 1u);
  let base = (safe / params.inner) * params.reduced * params.inner + safe % params.inner;
  // Lanes beyond the last element start at the first one, which cannot win against itself.
  var place = select(0u, lane, lane < params.reduced);
  var value = x[base + place * params.inner];
  for (var r = lane + LANES; r < params.reduced; r += LANES) {
    let v = x[base + r * params.inner];
    if (above(v, value)) {
      value = v;
      place = r;
    }
  }
  if (LANES > 1u) {
    values[local] = value;
    places[local] = place;
    for (var width = LANES / 2u; width > 0u; width /= 2u) {
      workgroupBarrier();
      if (lane < width) {
        let other = values[local + width];
        let otherPlace = places[local + width];
        if (above(other, values[local]) || (equal(other, values[local]) && otherPlace < places[local])) {
          values[local] = other;
          places[local] = otherPlace;
        }
      }
    }
    workgroupBarrier();
    place = places[local];
  }
  if (lane == 0u && output < params.outputs) { out[output] = i32(place); }
}
