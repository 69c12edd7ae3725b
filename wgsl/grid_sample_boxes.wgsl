// For every tile of 8 × 8 grid points the box, in pixels, of the points' places in the image: (low x, low y, high x,
// high y). Only tiles whose box comes within one pixel of an image pixel can reach it, which keeps the adjoint of
// sampling (grid_sample_adjoint.wgsl) from looking at every point.
//
// grid: [batch, Ho, Wo, 2], boxes: [batch, tiles down, tiles across]. A team of LANES invocations owns a tile, of which each
// takes every LANES-th row; a team of one on software adapters.

#include linear

struct Params {
  count: u32,
  out_height: u32,
  out_width: u32,
  tiles_down: u32,
  tiles_across: u32,
  height: u32,
  width: u32,
}
#params Params

@group(0) @binding(0) var<storage, read> points: array<vec2f>;
@group(0) @binding(1) var<storage, read_write> boxes: array<vec4f>;

// Up to 8.
#const LANES: u32 = 1
#const SIZE: u32 = 64

const TILE = 8u;
const TEAMS = SIZE / LANES;

// (low, −high)
alias Sum = vec4f;
fn join(a: Sum, b: Sum) -> Sum {
  return min(a, b);
}
#choose Team = team_alone

@compute @workgroup_size(SIZE)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let lane = local % LANES;
  let span = linear_span(workgroup, grid, 0u, TEAMS, params.count);
  for (var start = span.start; start < span.end; start += TEAMS) {
    // A team out of range still takes part in the join.
    let in_range = start + local / LANES < params.count;
    let i = min(start + local / LANES, params.count - 1u);
    let across = i % params.tiles_across;
    let down = i / params.tiles_across % params.tiles_down;
    let batch = i / params.tiles_across / params.tiles_down;
    let size = vec2f(f32(params.width), f32(params.height));
    var low = vec2f(1e30);
    var high = vec2f(-1e30);
    for (var row = down * TILE + lane; row < min(down * TILE + TILE, params.out_height); row += LANES) {
      for (var column = across * TILE; column < min(across * TILE + TILE, params.out_width); column++) {
        let at = points[(batch * params.out_height + row) * params.out_width + column];
        let source = (at + 1.0) * 0.5 * (size - 1.0);
        low = min(low, source);
        high = max(high, source);
      }
    }
    let box = team_join(vec4f(low, -high), local);
    if (in_range && lane == 0u) { boxes[i] = vec4f(box.xy, -box.zw); }
  }
}
