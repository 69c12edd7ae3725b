// A straight-line program of elementwise functions: out[i] = f(g(a[…], b[…]), …), with broadcasting.
//
// SOURCES arrays are read, one element each for an output element, and STEPS functions applied in order; step t applies
// F‹t› to two values, each a source (s‹k›) or the result of an earlier step (v‹t›), with scalars p and q among the
// params. A function of one value has it twice. All of that is fixed in the text, so that values stay in registers. With
// no step, the source is copied, repeated along the dimensions in which it is broadcast.
//
// A source lies as the output does (dense), is one number (alone), or has strides over up to four dimensions of the
// output (strided); those share one walk from the index to coordinates. With V = vec4f, elements are four neighbours:
// count, d3 and strides are then the host's in units of four, and a source that is the same for all four has
// elements of f32.
//
// One invocation owns one element of V, or several. Limited by memory bandwidth: what a chain saves is the writing and
// reading of what lies between its steps.

#include linear
#include quotient
#include elements
#include keep_nan

struct Params {
  count: u32,
  d1: u32, d2: u32, d3: u32, // sizes of the inner dimensions, for strided sources (see quotient)
  // Strides of strided sources, and bits of scalars, as a variant's A‹k› … D‹k›, P‹t› and Q‹t› tell.
  w0: u32, w1: u32, w2: u32, w3: u32, w4: u32, w5: u32, w6: u32, w7: u32, w8: u32, w9: u32, w10: u32, w11: u32,
}
#params Params

#const SOURCES: u32 = 2
#const STEPS: u32 = 1
// Dimensions that strided sources are indexed by: 0 (there are none), 2, 3 or 4.
#const RANK: u32 = 0
#name RESULT = v0

#for k in SOURCES
#name E${k} = V
#name PLACE${k} = dense
#name A${k} = w0
#name B${k} = w0
#name C${k} = w0
#name D${k} = w0
@group(0) @binding(${k}) var<storage, read> source${k}: array<${E${k}}>;
#end
@group(0) @binding(${SOURCES}) var<storage, read_write> out: array<V>;

// Coordinates of output element i in the dimensions of strided sources, innermost last.
fn coordinates(i: u32) -> vec4u {
  if (RANK == 0u) { return vec4u(0u); }
  let r3 = over(i, params.d3);
  let i3 = i - times(r3, params.d3);
  if (RANK == 2u) { return vec4u(0u, 0u, r3, i3); }
  let r2 = over(r3, params.d2);
  let i2 = r3 - times(r2, params.d2);
  if (RANK == 3u) { return vec4u(0u, r2, i2, i3); }
  let r1 = over(r2, params.d1);
  return vec4u(r1, r2 - times(r1, params.d1), i2, i3);
}

fn dense(i: u32, at: vec4u, strides: vec4u) -> u32 { return i; }
fn alone(i: u32, at: vec4u, strides: vec4u) -> u32 { return 0u; }
fn strided(i: u32, at: vec4u, strides: vec4u) -> u32 {
  if (RANK == 2u) { return at.z * strides.z + at.w * strides.w; }
  if (RANK == 3u) { return at.y * strides.y + at.z * strides.z + at.w * strides.w; }
  return at.x * strides.x + at.y * strides.y + at.z * strides.z + at.w * strides.w;
}

fn sigmoid(x: V) -> V {
  return 1.0 / (1.0 + exp(-x));
}

// The error function to 1.2e-7 absolute: erf(x) = 1 - t·exp(-x² + P(t)), t = 1/(1 + |x|/2) (Numerical Recipes, §6.2).
fn erf(x: V) -> V {
  let z = abs(x);
  let t = 1.0 / (1.0 + 0.5 * z);
  var p = V(0.17087277);
  p = p * t - 0.82215223;
  p = p * t + 1.48851587;
  p = p * t - 1.13520398;
  p = p * t + 0.27886807;
  p = p * t - 0.18628806;
  p = p * t + 0.09678418;
  p = p * t + 0.37409196;
  p = p * t + 1.00002368;
  p = p * t - 1.26551223;
  let r = 1.0 - t * exp(p - z * z);
  return select(r, -r, x < V(0.0));
}

// WGSL allows sin an absolute error of 2⁻¹¹, and some adapters use it. Here: reduction to |r| ≤ π/4 by three parts of
// π/2 (Cody & Waite), then Taylor polynomials; 1e-7 for |x| up to about 10⁴. `quarter` 0 gives sin, 1 gives cos.
fn sine(x: V, quarter: f32) -> V {
  let n = round(x * 0.63661977);
  let r = ((x - n * 1.5703125) - n * 4.837512969970703e-4) - n * 7.549789948768648e-8;
  let r2 = r * r;
  let s = r * (1.0 + r2 * (-1.6666667e-1 + r2 * (8.3333333e-3 + r2 * (-1.9841270e-4 + r2 * 2.7557319e-6))));
  let c = 1.0 + r2 * (-0.5 + r2 * (4.1666667e-2 + r2 * (-1.3888889e-3 + r2 * 2.4801587e-5)));
  // The quadrant, 0 to 3: exact in f32 for |n| < 2²².
  let m = n + quarter;
  let q = m - 4.0 * floor(0.25 * m);
  let odd = q - 2.0 * floor(0.5 * q) == V(1.0);
  let v = select(s, c, odd);
  return select(v, -v, q >= V(2.0));
}

// Functions of one value.
fn f_affine(x: V, y: V, p: f32, q: f32) -> V { return p * x + q; }
fn f_exp(x: V, y: V, p: f32, q: f32) -> V { return exp(x); }
fn f_log(x: V, y: V, p: f32, q: f32) -> V { return log(x); }
fn f_sqrt(x: V, y: V, p: f32, q: f32) -> V { return sqrt(x); }
fn f_rsqrt(x: V, y: V, p: f32, q: f32) -> V { return inverseSqrt(x); }
fn f_reciprocal(x: V, y: V, p: f32, q: f32) -> V { return 1.0 / x; }
fn f_square(x: V, y: V, p: f32, q: f32) -> V { return x * x; }
fn f_abs(x: V, y: V, p: f32, q: f32) -> V { return abs(x); }
fn f_sign(x: V, y: V, p: f32, q: f32) -> V { return sign(x); }
fn f_relu(x: V, y: V, p: f32, q: f32) -> V { return keep_nan(x, max(x, V(0.0))); }
fn f_sigmoid(x: V, y: V, p: f32, q: f32) -> V { return sigmoid(x); }
// tanh overflows on some drivers for large inputs; beyond 15 it is 1 in f32.
fn f_tanh(x: V, y: V, p: f32, q: f32) -> V { return keep_nan(x, tanh(clamp(x, V(-15.0), V(15.0)))); }
fn f_silu(x: V, y: V, p: f32, q: f32) -> V { return x * sigmoid(x); }
fn f_gelu(x: V, y: V, p: f32, q: f32) -> V { return 0.5 * x * (1.0 + erf(x * 0.70710678)); }
fn f_sin(x: V, y: V, p: f32, q: f32) -> V { return sine(x, 0.0); }
fn f_cos(x: V, y: V, p: f32, q: f32) -> V { return sine(x, 1.0); }
fn f_clamp(x: V, y: V, p: f32, q: f32) -> V { return keep_nan(x, clamp(x, V(p), V(q))); }
fn f_pow(x: V, y: V, p: f32, q: f32) -> V { return pow(x, V(p)); }
fn f_floor(x: V, y: V, p: f32, q: f32) -> V { return floor(x); }

// Functions of two values.
fn f_add(x: V, y: V, p: f32, q: f32) -> V { return x + y; }
fn f_sub(x: V, y: V, p: f32, q: f32) -> V { return x - y; }
fn f_mul(x: V, y: V, p: f32, q: f32) -> V { return x * y; }
fn f_div(x: V, y: V, p: f32, q: f32) -> V { return x / y; }
fn f_maximum(x: V, y: V, p: f32, q: f32) -> V { return keep_nan(x, keep_nan(y, max(x, y))); }
fn f_minimum(x: V, y: V, p: f32, q: f32) -> V { return keep_nan(x, keep_nan(y, min(x, y))); }
fn f_greater(x: V, y: V, p: f32, q: f32) -> V { return select(V(0.0), V(1.0), x > y); }
fn f_greater_equal(x: V, y: V, p: f32, q: f32) -> V { return select(V(0.0), V(1.0), x >= y); }
fn f_equal(x: V, y: V, p: f32, q: f32) -> V { return select(V(0.0), V(1.0), x == y); }

// Fused gradients: x is the gradient that arrives; y the input or, for sigmoid and tanh, the output.
fn f_relu_grad(x: V, y: V, p: f32, q: f32) -> V { return select(V(0.0), x, (y > V(0.0)) | nan_${V}(y)); }
fn f_sigmoid_grad(x: V, y: V, p: f32, q: f32) -> V { return x * y * (1.0 - y); }
fn f_tanh_grad(x: V, y: V, p: f32, q: f32) -> V { return x * (1.0 - y * y); }
fn f_silu_grad(x: V, y: V, p: f32, q: f32) -> V { let s = sigmoid(y); return x * s * (1.0 + y * (1.0 - s)); }
fn f_gelu_grad(x: V, y: V, p: f32, q: f32) -> V { return x * (0.5 * (1.0 + erf(y * 0.70710678)) + y * 0.39894228 * exp(-0.5 * y * y)); }
fn f_abs_grad(x: V, y: V, p: f32, q: f32) -> V { return x * sign(y); }
fn f_clamp_grad(x: V, y: V, p: f32, q: f32) -> V { return select(V(0.0), x, (y >= V(p)) & (y <= V(q))); }

fn scalar(word: u32) -> f32 { return bitcast<f32>(word); }

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let span = linear_span(workgroup, grid, local, 64u, params.count);
  for (var i = span.start; i < span.end; i += 64u) {
    let at = coordinates(i);
#for k in SOURCES
    let strides${k} = vec4u(params.${A${k}}, params.${B${k}}, params.${C${k}}, params.${D${k}});
    let s${k} = V(source${k}[${PLACE${k}}(i, at, strides${k})]);
#end
#for t in STEPS
#name F${t} = add
#name X${t} = s0
#name Y${t} = s1
#name P${t} = w0
#name Q${t} = w0
    let v${t} = f_${F${t}}(${X${t}}, ${Y${t}}, scalar(params.${P${t}}), scalar(params.${Q${t}}));
#end
    out[i] = ${RESULT};
  }
}
