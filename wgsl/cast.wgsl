// Conversion between f32 and f16, by integer arithmetic on the bits: the same on every adapter and on the host
// (src/io/half.ts). To f16: to the nearest, ties to even; finite numbers beyond ±65,504 become ±65,504; infinities and NaN
// stay. To f32: exact. Four elements at a time, two halves a word; what lies beyond the last is padding. One invocation
// owns four elements, or several times four. Limited by memory bandwidth.

#include linear

struct Params {
  // In units of four elements.
  count: u32,
}
#params Params

#const HALVE: bool = true
#alias From = vec4u
#alias To = vec2u

@group(0) @binding(0) var<storage, read> x: array<From>;
@group(0) @binding(1) var<storage, read_write> out: array<To>;

#if HALVE
fn convert(x: vec4u) -> vec2u {
  let magnitude = x & vec4u(0x7fffffffu);
  // Normal halves: the exponent's bias changes from 127 to 15, and 13 bits are rounded away.
  let capped = clamp(magnitude, vec4u(0x38800000u), vec4u(0x477fe000u));
  let normal = (capped - 0x38000000u + 0xfffu + ((capped >> vec4u(13u)) & vec4u(1u))) >> vec4u(13u);
  // Subnormal halves are whole multiples of 2⁻²⁴; beyond 25 bits nothing is left.
  let shift = 126u - clamp(magnitude >> vec4u(23u), vec4u(101u), vec4u(112u));
  let mantissa = (magnitude & vec4u(0x7fffffu)) | vec4u(0x800000u);
  let tiny = (mantissa + (vec4u(1u) << (shift - 1u)) - 1u + ((mantissa >> shift) & vec4u(1u))) >> shift;
  var half = select(tiny, normal, magnitude >= vec4u(0x38800000u));
  half = select(half, vec4u(0x7c00u), magnitude == vec4u(0x7f800000u));
  half = select(half, vec4u(0x7e00u), magnitude > vec4u(0x7f800000u));
  half |= (x >> vec4u(16u)) & vec4u(0x8000u);
  return half.xz | (half.yw << vec2u(16u));
}
#else
fn convert(x: vec2u) -> vec4u {
  let half = vec4u(x.x & 0xffffu, x.x >> 16u, x.y & 0xffffu, x.y >> 16u);
  let magnitude = half & vec4u(0x7fffu);
  let normal = (magnitude << vec4u(13u)) + 0x38000000u;
  let tiny = bitcast<vec4u>(vec4f(magnitude) * 0x1p-24f);
  var word = select(tiny, normal, magnitude >= vec4u(0x400u));
  word = select(word, normal + 0x38000000u, magnitude >= vec4u(0x7c00u));
  return word | ((half & vec4u(0x8000u)) << vec4u(16u));
}
#end

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let span = linear_span(workgroup, grid, local, 64u, params.count);
  for (var i = span.start; i < span.end; i += 64u) { out[i] = convert(x[i]); }
}
