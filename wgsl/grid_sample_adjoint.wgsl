// The adjoint of grid_sample.wgsl: out[n, c, pixel] = Σ over grid points p near the pixel of wx·wy·g[n, c, p]. A gather,
// not a scatter: sums run in the order of the points, so results repeat bit for bit without atomics.
//
// g: [batch, planes, Ho, Wo], grid: [batch, Ho, Wo, 2], boxes of grid_sample_boxes.wgsl, out: [batch, planes, H, W].
// One invocation owns one pixel of up to four planes, tests the box of every tile of 8 × 8 points, and visits the
// points of those that reach it: HoWo/64 tests, and for a grid that neither shrinks nor magnifies much some hundred
// visits. Limited by arithmetic.

#include linear
#include point_weight

struct Params {
  count: u32, // batch · plane blocks · pixels
  planes: u32,
  blocks: u32, // of four planes
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

const TILE = 8u;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let span = linear_span(workgroup, grid, local, 64u, params.count);
  for (var i = span.start; i < span.end; i += 64u) {
    let pixels = params.height * params.width;
    let pixel = i % pixels;
    let here = vec2f(f32(pixel % params.width), f32(pixel / params.width));
    let first_plane = i / pixels % params.blocks * 4u;
    let batch = i / pixels / params.blocks;
    let plane_count = min(4u, params.planes - first_plane);
    let points_count = params.out_height * params.out_width;
    let g_base = (batch * params.planes + first_plane) * points_count;
    let size = vec2f(f32(params.width), f32(params.height));
    var sum = vec4f(0.0);
    for (var down = 0u; down < params.tiles_down; down++) {
      for (var across = 0u; across < params.tiles_across; across++) {
        let box = boxes[(batch * params.tiles_down + down) * params.tiles_across + across];
        if (any(box.xy > here + 1.0) || any(box.zw < here - 1.0)) { continue; }
        for (var row = down * TILE; row < min(down * TILE + TILE, params.out_height); row++) {
          for (var column = across * TILE; column < min(across * TILE + TILE, params.out_width); column++) {
            let p = row * params.out_width + column;
            var weight: f32;
            if (!weigh_point(points[batch * points_count + p], here, size, &weight)) { continue; }
            for (var c = 0u; c < plane_count; c++) { sum[c] += weight * g[g_base + c * points_count + p]; }
          }
        }
      }
    }
    let out_base = (batch * params.planes + first_plane) * pixels + pixel;
    for (var c = 0u; c < plane_count; c++) { out[out_base + c * pixels] = sum[c]; }
  }
}
