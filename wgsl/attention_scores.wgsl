// What attention in blocks does to a block of scores s = q·kᵀ, in place, between the matrix products:
//
//     forward   scores [rows, columns] become softmax(scale·s), and lse[first + row] the log of the sum of exponentials
//     GRADIENT  scores become p = exp(scale·s − lse), and grads, dp = do·vᵀ, become scale·p·(dp − delta)
//
// A team of invocations shares a row, and a workgroup loops over a chunk of rows. Limited by the exponential.

#include linear
#include elements

// Columns count elements of type V.
struct Params {
  rows: u32,
  columns: u32,
  // Of the block's first row in lse and delta.
  first: u32,
  scale: f32,
}
#params Params

#const GRADIENT: bool = false
#const LANES: u32 = 8
#const SIZE: u32 = 64
const TEAMS = SIZE / LANES;
const LOWEST = -1e30;

@group(0) @binding(0) var<storage, read_write> scores: array<V>;
#if GRADIENT
@group(0) @binding(1) var<storage, read> lse: array<f32>;
@group(0) @binding(2) var<storage, read> delta: array<f32>;
@group(0) @binding(3) var<storage, read_write> grads: array<V>;
#else
@group(0) @binding(1) var<storage, read_write> lse: array<f32>;
#end

// (the highest, the sum)
alias Sum = vec2f;
fn join(a: Sum, b: Sum) -> Sum {
  return vec2f(max(a.x, b.x), a.y + b.y);
}
#choose Team = team_workgroup

fn highest(v: V) -> f32 {
  let four = vec4f(v);
  return max(max(four.x, four.y), max(four.z, four.w));
}

@compute @workgroup_size(SIZE)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let lane = local % LANES;
  let columns = params.columns;
  let span = linear_span(workgroup, grid, 0u, TEAMS, params.rows);
  for (var start = span.start; start < span.end; start += TEAMS) {
    // A row out of range still takes part in the joins.
    let in_range = start + local / LANES < params.rows;
    let row = min(start + local / LANES, params.rows - 1u);
    let base = row * columns;
#if GRADIENT
    if (in_range) {
      for (var i = lane; i < columns; i += LANES) {
        let p = exp(scores[base + i] * params.scale - lse[params.first + row]);
        scores[base + i] = p;
        grads[base + i] = p * (grads[base + i] - delta[params.first + row]) * params.scale;
      }
    }
#else
    var top = LOWEST;
    for (var i = lane; i < columns; i += LANES) { top = max(top, highest(scores[base + i] * params.scale)); }
    top = team_join(vec2f(top, 0.0), local).x;
    var sum = 0.0;
    if (in_range) {
      for (var i = lane; i < columns; i += LANES) {
        let e = exp(scores[base + i] * params.scale - top);
        scores[base + i] = e;
        sum += across(e);
      }
    }
    sum = team_join(vec2f(LOWEST, sum), local).y;
    if (in_range) {
      let factor = 1.0 / sum;
      for (var i = lane; i < columns; i += LANES) { scores[base + i] *= factor; }
      if (lane == 0u) { lse[params.first + row] = top + log(sum); }
    }
#end
  }
}
