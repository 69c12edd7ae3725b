// What a point of a sampling grid takes of a pixel in grid_sample.wgsl. The kernel declares DX and DY, of which one asks for
// the derivative with respect to the point's x or y.

// Whether the point, in [-1, 1]², is at most one pixel from `here` in an image of `size` (width, height), and the product
// of its weights.
fn weigh_point(point: vec2f, here: vec2f, size: vec2f, weight: ptr<function, f32>) -> bool {
  let source = (point + 1.0) * 0.5 * (size - 1.0);
  let low = floor(source);
  // 0: the pixel before the point, 1: the one after it.
  let side = here - low;
  if (any(side < vec2f(0.0)) || any(side > vec2f(1.0))) { return false; }
  let f = source - low;
  var w = mix(1.0 - f, f, side);
  if (DX) { w.x = 2.0 * side.x - 1.0; }
  if (DY) { w.y = 2.0 * side.y - 1.0; }
  *weight = w.x * w.y;
  return true;
}
