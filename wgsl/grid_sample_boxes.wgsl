// For every tile of 8 × 8 grid points the box, in pixels, of the points' places in the image: (low x, low y, high x,
// high y). Only tiles whose box comes within one pixel of an image pixel can reach it, which keeps the adjoint of
// sampling (grid_sample_adjoint.wgsl) from looking at every point.
//
// grid: [batch, Ho, Wo, 2], boxes: [batch, tiles down, tiles across]. One invocation owns one tile.

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

const TILE = 8u;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let span = linear_span(workgroup, grid, local, 64u, params.count);
  for (var i = span.start; i < span.end; i += 64u) {
    let across = i % params.tiles_across;
    let down = i / params.tiles_across % params.tiles_down;
    let batch = i / params.tiles_across / params.tiles_down;
    let size = vec2f(f32(params.width), f32(params.height));
    var low = vec2f(1e30);
    var high = vec2f(-1e30);
    for (var row = down * TILE; row < min(down * TILE + TILE, params.out_height); row++) {
      for (var column = across * TILE; column < min(across * TILE + TILE, params.out_width); column++) {
        let at = points[(batch * params.out_height + row) * params.out_width + column];
        let source = (at + 1.0) * 0.5 * (size - 1.0);
        low = min(low, source);
        high = max(high, source);
      }
    }
    boxes[i] = vec4f(low, high);
  }
}
