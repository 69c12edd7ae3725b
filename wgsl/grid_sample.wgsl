// Bilinear sampling of images at the points of a grid: out[n, c, p] = Σ over the four pixels around point p of
// wx·wy·x[n, c, pixel]; pixels outside count as 0. Grid coordinates −1 and 1 are the centres of the outermost pixels
// (align_corners). wx = (1 − f, f) for the fractional part f; with DX = 1 it is its derivative (−1, 1), and likewise
// wy with DY: the derivatives with respect to the grid are samplings of the same kind.
//
// x: [batch, planes, H, W], grid: [batch, P, 2] as (x, y), out: [batch, planes, P]; a grid that all samples share has
// batch 1, and all samples' channels are its planes. One invocation owns one output. Limited by memory latency.

#include linear

struct Params {
  count: u32,
  planes: u32,
  points: u32,
  height: u32,
  width: u32,
}
#params Params

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> points: array<vec2f>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

#const DX: bool = false
#const DY: bool = false

fn pixel(base: u32, column: f32, row: f32) -> f32 {
  // Compared as floats: a point far outside has no pixel in u32.
  if (column < 0.0 || row < 0.0 || column >= f32(params.width) || row >= f32(params.height)) { return 0.0; }
  return x[base + u32(row) * params.width + u32(column)];
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let span = linear_span(workgroup, grid, local, 64u, params.count);
  for (var i = span.start; i < span.end; i += 64u) {
    let plane = i / params.points;
    let at = points[plane / params.planes * params.points + i - plane * params.points];
    let size = vec2f(f32(params.width), f32(params.height));
    let source = (at + 1.0) * 0.5 * (size - 1.0);
    let low = floor(source);
    let f = source - low;
    let wx = select(vec2f(1.0 - f.x, f.x), vec2f(-1.0, 1.0), DX);
    let wy = select(vec2f(1.0 - f.y, f.y), vec2f(-1.0, 1.0), DY);
    let base = plane * params.height * params.width;
    let upper = wx.x * pixel(base, low.x, low.y) + wx.y * pixel(base, low.x + 1.0, low.y);
    let lower = wx.x * pixel(base, low.x, low.y + 1.0) + wx.y * pixel(base, low.x + 1.0, low.y + 1.0);
    out[i] = wy.x * upper + wy.y * lower;
  }
}
