// Cross entropy of logits [rows, columns] with labels [rows], a loss a row, and its fused gradient.
//
// LOSS:  out[n] = log Σ exp(x[n] − max) − (x[n, label] − max)
// GRAD:  out[n, c] = (softmax(x[n])[c] − [c = label])·g·scale, with one number g for all rows (scale = 1/rows)
//
// LANES invocations share one row as in softmax.wgsl. A label outside of 0…columns-1 gives `invalid` (NaN, passed as
// data) for its row: a mistake shows in the first number that is read back. Limited by memory bandwidth.

#include linear

struct Params {
  rows: u32,
  columns: u32,
  scale: f32,
  invalid: f32,
}
#params Params

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> labels: array<i32>;
// Used by GRAD only; LOSS has x bound again.
@group(0) @binding(2) var<storage, read> g: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

const LOSS = 0u;
const GRAD = 1u;

#const OP: u32 = LOSS
#const LANES: u32 = 64
const SIZE = 64u;

var<workgroup> partial: array<f32, SIZE>;

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
  let safe = min(row, params.rows - 1u);
  let base = safe * params.columns;
  var most = x[base];
  for (var c = lane; c < columns; c += LANES) { most = max(most, x[base + c]); }
  if (LANES > 1u) {
    partial[local] = most;
    for (var width = LANES / 2u; width > 0u; width /= 2u) {
      workgroupBarrier();
      if (lane < width) { partial[local] = max(partial[local], partial[local + width]); }
    }
    workgroupBarrier();
    most = partial[local - lane];
    workgroupBarrier();
  }
  var sum = 0.0;
  for (var c = lane; c < columns; c += LANES) { sum += exp(x[base + c] - most); }
  if (LANES > 1u) {
    partial[local] = sum;
    for (var width = LANES / 2u; width > 0u; width /= 2u) {
      workgroupBarrier();
      if (lane < width) { partial[local] += partial[local + width]; }
    }
    workgroupBarrier();
    sum = partial[local - lane];
  }
  // A negative label becomes a large one.
  let label = u32(labels[safe]);
  let valid = label < params.columns;
  if (OP == LOSS) {
    if (lane == 0u && row < params.rows) {
      var loss = params.invalid;
      if (valid) { loss = log(sum) - (x[base + label] - most); }
      out[row] = loss;
    }
  } else {
    let k = g[0] * params.scale;
    for (var c = lane; c < columns; c += LANES) {
      var value = params.invalid;
      if (valid) { value = (exp(x[base + c] - most) / sum - select(0.0, 1.0, c == label)) * k; }
      out[base + c] = value;
    }
  }
}
