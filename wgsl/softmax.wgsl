// Softmax and log-softmax over the last dimension of [rows, columns], and their fused gradients.
//
// LANES invocations share one row, each with a strided part of it; trees in workgroup memory join their maxima and
// sums. The row's maximum is taken off before exp, so that nothing overflows. In the gradients `a` is what arrives and
// `b` the output y: y·(a − Σ a·y), and a − exp(y)·Σ a. Three passes over a row, of which the later ones hit the cache;
// limited by memory bandwidth. The order of additions depends on the shape alone.

#include linear

struct Params {
  rows: u32,
  columns: u32,
}
#params Params

// The functions of one input have it bound twice.
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

const SOFTMAX = 0u;
const LOG_SOFTMAX = 1u;
const SOFTMAX_GRAD = 2u;
const LOG_SOFTMAX_GRAD = 3u;

#const OP: u32 = SOFTMAX
#const LANES: u32 = 64
const SIZE = 64u;

var<workgroup> partial: array<f32, SIZE>;

fn join_sum(local: u32, lane: u32, value: f32) -> f32 {
  if (LANES == 1u) { return value; }
  partial[local] = value;
  for (var width = LANES / 2u; width > 0u; width /= 2u) {
    workgroupBarrier();
    if (lane < width) { partial[local] += partial[local + width]; }
  }
  workgroupBarrier();
  let sum = partial[local - lane];
  workgroupBarrier();
  return sum;
}

fn join_max(local: u32, lane: u32, value: f32) -> f32 {
  if (LANES == 1u) { return value; }
  partial[local] = value;
  for (var width = LANES / 2u; width > 0u; width /= 2u) {
    workgroupBarrier();
    if (lane < width) { partial[local] = max(partial[local], partial[local + width]); }
  }
  workgroupBarrier();
  let most = partial[local - lane];
  workgroupBarrier();
  return most;
}

@compute @workgroup_size(SIZE)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let id = linear_index(workgroup, grid, local, SIZE);
  let lane = id % LANES;
  let row = id / LANES;
  // A row out of range still takes part in the barriers, with no elements.
  let columns = select(0u, params.columns, row < params.rows);
  let base = min(row, params.rows - 1u) * params.columns;
  if (OP == SOFTMAX || OP == LOG_SOFTMAX) {
    var most = a[base];
    for (var c = lane; c < columns; c += LANES) { most = max(most, a[base + c]); }
    most = join_max(local, lane, most);
    var sum = 0.0;
    for (var c = lane; c < columns; c += LANES) { sum += exp(a[base + c] - most); }
    sum = join_sum(local, lane, sum);
    if (OP == SOFTMAX) {
      let scale = 1.0 / sum;
      for (var c = lane; c < columns; c += LANES) { out[base + c] = exp(a[base + c] - most) * scale; }
    } else {
      let shift = log(sum);
      for (var c = lane; c < columns; c += LANES) { out[base + c] = a[base + c] - most - shift; }
    }
  } else {
    var sum = 0.0;
    for (var c = lane; c < columns; c += LANES) {
      let g = a[base + c];
      if (OP == SOFTMAX_GRAD) { sum += g * b[base + c]; } else { sum += g; }
    }
    sum = join_sum(local, lane, sum);
    for (var c = lane; c < columns; c += LANES) {
      let g = a[base + c];
      let y = b[base + c];
      if (OP == SOFTMAX_GRAD) { out[base + c] = y * (g - sum); } else { out[base + c] = g - exp(y) * sum; }
    }
  }
}
