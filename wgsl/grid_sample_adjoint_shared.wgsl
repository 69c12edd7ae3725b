// The adjoint of grid_sample.wgsl, as grid_sample_adjoint.wgsl, for GPUs: eight invocations share a pixel of up to
// 4·VECTORS planes. All of them test the box of every tile of 8 × 8 points, and each visits one row of those that reach
// the pixel. Their sums are added in the order of the rows, so results repeat bit for bit. What is looked at is the same
// for all planes, so many of them an invocation are less work, and few more invocations. Limited by memory latency.
//
// g: [batch, planes, Ho, Wo], grid: [batch, Ho, Wo, 2], boxes of grid_sample_boxes.wgsl, out: [batch, planes, H, W].

#include linear
#include point_weight

struct Params {
  count: u32, // batch · plane blocks · pixels
  planes: u32,
  blocks: u32, // of 4·VECTORS planes
  out_height: u32,
  out_width: u32,
  tiles_down: u32,
  tiles_across: u32,
  height: u32,
  width: u32,
}
#params Params

@group(0) @binding(0) var<storage, read> g: array<f32>;
@group(0) @binding(1) var<storage, read> points: array<vec2f>;
@group(0) @binding(2) var<storage, read> boxes: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

#const DX: bool = false
#const DY: bool = false
#const VECTORS: u32 = 1
// Rows of a tile.
#const LANES: u32 = 8
#const SIZE: u32 = 64

const TILE = 8u;
const TEAMS = SIZE / LANES;

alias Sum = vec4f;
fn join(a: Sum, b: Sum) -> Sum {
  return a + b;
}
#choose Team = team_workgroup

@compute @workgroup_size(SIZE)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let lane = local % LANES;
  let pixels = params.height * params.width;
  let points_count = params.out_height * params.out_width;
  let size = vec2f(f32(params.width), f32(params.height));
  let span = linear_span(workgroup, grid, 0u, TEAMS, params.count);
  for (var start = span.start; start < span.end; start += TEAMS) {
    // A team out of range still takes part in the joins.
    let in_range = start + local / LANES < params.count;
    let i = min(start + local / LANES, params.count - 1u);
    let pixel = i % pixels;
    let here = vec2f(f32(pixel % params.width), f32(pixel / params.width));
    let first_plane = i / pixels % params.blocks * 4u * VECTORS;
    let batch = i / pixels / params.blocks;
    let last = params.planes - first_plane - 1u;
    let g_base = (batch * params.planes + first_plane) * points_count;
    var sums: array<vec4f, VECTORS>;
    for (var v = 0u; v < VECTORS; v++) { sums[v] = vec4f(0.0); }
    for (var down = 0u; down < params.tiles_down; down++) {
      let row = down * TILE + lane;
      for (var across = 0u; across < params.tiles_across; across++) {
        let box = boxes[(batch * params.tiles_down + down) * params.tiles_across + across];
        if (any(box.xy > here + 1.0) || any(box.zw < here - 1.0) || row >= params.out_height) { continue; }
        for (var column = across * TILE; column < min(across * TILE + TILE, params.out_width); column++) {
          let p = row * params.out_width + column;
          var weight: f32;
          if (!weigh_point(points[batch * points_count + p], here, size, &weight)) { continue; }
          for (var v = 0u; v < VECTORS; v++) {
            // Planes beyond the last are read as the last, and not written.
            let at = g_base + min(vec4u(4u * v) + vec4u(0u, 1u, 2u, 3u), vec4u(last)) * points_count + p;
            sums[v] += weight * vec4f(g[at.x], g[at.y], g[at.z], g[at.w]);
          }
        }
      }
    }
    let out_base = (batch * params.planes + first_plane) * pixels + pixel;
    for (var v = 0u; v < VECTORS; v++) {
      let sum = team_join(sums[v], local);
      // Four lanes write a plane each.
      let plane = 4u * v + lane;
      if (in_range && lane < 4u && plane <= last) { out[out_base + plane * pixels] = sum[lane]; }
    }
  }
}
