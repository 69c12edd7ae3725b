// Random numbers: uniform in [p, p + q), or normal with mean p and standard deviation q.
//
// Counter-based (Philox4x32-10): block i of four outputs comes from counter (i, 0, 0, 0) and the key (seed, stream),
// so the numbers do not depend on the grid or the adapter. Normals are pairs by Box–Muller: from two words
// u = (w0/2⁸ + 1)/2²⁴ in (0, 1] and v = w1/2⁸/2²⁴, √(−2 ln u)·(cos 2πv, sin 2πv). WGSL leaves log, sin and cos
// imprecise (log near 1 to 2⁻²¹ absolute, cos to 2⁻¹¹), and drivers differ; both are computed here from polynomials to
// about 1e-7, with range reductions that are exact since u and v are integers over 2²⁴.
// One invocation owns one block, or several. Limited by integer arithmetic.

#include linear
#include philox

struct Params {
  count: u32,
  seed: u32,
  stream: u32,
  p: f32,
  q: f32,
  // The largest uniform number: rounding may reach p + q.
  most: f32,
}
#params Params

@group(0) @binding(0) var<storage, read_write> out: array<f32>;

const UNIFORM = 0u;
const NORMAL = 1u;

#const OP: u32 = UNIFORM

// ln(k/2²⁴) for k in 1…2²⁴: with k = m·2^e, m in [√½, √2), it is (e − 24)·ln 2 + 2·atanh((m − 1)/(m + 1)).
fn log_fraction(k: u32) -> f32 {
  let bits = bitcast<u32>(f32(k));
  var e = i32(bits >> 23u) - 127 - 24;
  var m = bitcast<f32>((bits & 0x7fffffu) | 0x3f800000u);
  if (m > 1.41421356) {
    m *= 0.5;
    e += 1;
  }
  let s = (m - 1.0) / (m + 1.0);
  let z = s * s;
  let series = 2.0 + z * (0.66666667 + z * (0.4 + z * (0.28571429 + z * 0.22222222)));
  return f32(e) * 0.69314718 + s * series;
}

// (cos, sin) of 2π·k/2²⁴ for k in 0…2²⁴−1: the nearest quarter turn, and a rest of at most an eighth of a turn.
fn unit_vector(k: u32) -> vec2f {
  let quarter = (k + 0x200000u) >> 22u;
  let a = f32(i32(k) - i32(quarter << 22u)) * 3.7450704e-7;
  let z = a * a;
  let s = a * (1.0 + z * (-0.16666667 + z * (8.3333333e-3 + z * (-1.9841270e-4 + z * 2.7557319e-6))));
  let c = 1.0 + z * (-0.5 + z * (4.1666667e-2 + z * (-1.3888889e-3 + z * 2.4801587e-5)));
  switch quarter & 3u {
    case 0u: { return vec2f(c, s); }
    case 1u: { return vec2f(-s, c); }
    case 2u: { return vec2f(-c, -s); }
    default: { return vec2f(s, -c); }
  }
}

fn normal_pair(a: u32, b: u32) -> vec2f {
  return sqrt(-2.0 * log_fraction((a >> 8u) + 1u)) * unit_vector(b >> 8u);
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let span = linear_span(workgroup, grid, local, 64u, (params.count + 3u) / 4u);
  for (var block = span.start; block < span.end; block += 64u) {
    let first = block * 4u;
    let words = philox4x32(vec4u(block, 0u, 0u, 0u), vec2u(params.seed, params.stream));
    var values: vec4f;
    if (OP == UNIFORM) {
      values = vec4f(philox_uniform(words.x), philox_uniform(words.y), philox_uniform(words.z), philox_uniform(words.w));
    } else {
      values = vec4f(normal_pair(words.x, words.y), normal_pair(words.z, words.w));
    }
    values = params.p + values * params.q;
    if (OP == UNIFORM) { values = min(values, vec4f(params.most)); }
    for (var k = 0u; k < min(4u, params.count - first); k++) { out[first + k] = values[k]; }
  }
}
