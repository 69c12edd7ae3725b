// Reduction of the middle dimension of a row-major [outer, reduced, inner] array: out[o, i] = f over r of x[o, r, i].
//
// LANES invocations share one output. With LANES > 1 (inner = 1: the reduced elements lie together) each takes a
// strided part and a tree in workgroup memory joins them. With LANES = 1 each invocation owns one output and walks
// the reduced dimension, so that neighbours read neighbouring addresses. Limited by memory bandwidth. The order of
// additions depends on the shape alone, so results repeat bit for bit.

#include linear

struct Params {
  outputs: u32,
  reduced: u32,
  inner: u32,
  scale: f32,
}
#params Params

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;

const SUM = 0u;
const MAX = 1u;
const SUM_SQUARES = 2u;

#const OP: u32 = SUM
#const LANES: u32 = 1
const SIZE = 64u;

var<workgroup> partial: array<f32, SIZE>;

fn term(index: u32) -> f32 {
  let v = x[index];
  return select(v, v * v, OP == SUM_SQUARES);
}

fn join(a: f32, b: f32) -> f32 {
  return select(a + b, max(a, b), OP == MAX);
}

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
  var value = select(0.0, x[base], OP == MAX);
  for (var r = lane; r < params.reduced; r += LANES) {
    value = join(value, term(base + r * params.inner));
  }
  if (LANES > 1u) {
    partial[local] = value;
    for (var width = LANES / 2u; width > 0u; width /= 2u) {
      workgroupBarrier();
      if (lane < width) { partial[local] = join(partial[local], partial[local + width]); }
    }
    workgroupBarrier();
    value = partial[local];
  }
  if (lane == 0u && output < params.outputs) { out[output] = value * params.scale; }
}
