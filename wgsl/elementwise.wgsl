// Elementwise functions of one or two inputs with broadcasting: out[i] = f(a[…], b[…]), with scalar attributes p, q.
//
// One template for all of them: OP picks the function. It is constant, so the compiler keeps one branch. DENSE
// variants (all inputs of the output's shape) skip the index arithmetic. A function of one input has `a` bound twice.
// One invocation owns one output, or several. Limited by memory bandwidth.

#include linear
#include broadcast

struct Params {
  count: u32,
  d1: u32, d2: u32, d3: u32,
  a0: u32, a1: u32, a2: u32, a3: u32,
  b0: u32, b1: u32, b2: u32, b3: u32,
  p: f32, q: f32,
}
#params Params

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

// Functions of one input.
const AFFINE = 0u;
const EXP = 1u;
const LOG = 2u;
const SQRT = 3u;
const RSQRT = 4u;
const RECIPROCAL = 5u;
const SQUARE = 6u;
const ABS = 7u;
const SIGN = 8u;
const RELU = 9u;
const SIGMOID = 10u;
const TANH = 11u;
const SILU = 12u;
const GELU = 13u;
const SIN = 14u;
const COS = 15u;
const CLAMP = 16u;
const POW = 17u;
const FLOOR = 18u;
// Functions of two inputs.
const ADD = 32u;
const SUB = 33u;
const MUL = 34u;
const DIV = 35u;
const MAXIMUM = 36u;
const MINIMUM = 37u;
const GREATER = 38u;
const GREATER_EQUAL = 39u;
const EQUAL = 40u;
// Fused gradients: a is the gradient that arrives; b the input or, for SIGMOID and TANH, the output.
const RELU_GRAD = 48u;
const SIGMOID_GRAD = 49u;
const TANH_GRAD = 50u;
const SILU_GRAD = 51u;
const GELU_GRAD = 52u;
const ABS_GRAD = 53u;
const CLAMP_GRAD = 54u;

#const OP: u32 = ADD
#const BINARY: bool = true
#const DENSE: bool = true

fn sigmoid(x: f32) -> f32 {
  return 1.0 / (1.0 + exp(-x));
}

// tanh overflows on some drivers for large inputs; beyond 15 it is 1 in f32.
fn safe_tanh(x: f32) -> f32 {
  return tanh(clamp(x, -15.0, 15.0));
}

// The error function to 1.2e-7 absolute: erf(x) = 1 - t·exp(-x² + P(t)), t = 1/(1 + |x|/2) (Numerical Recipes, §6.2).
fn erf(x: f32) -> f32 {
  let z = abs(x);
  let t = 1.0 / (1.0 + 0.5 * z);
  var p = 0.17087277;
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
  return select(r, -r, x < 0.0);
}

// WGSL allows sin an absolute error of 2⁻¹¹, and some adapters use it. Here: reduction to |r| ≤ π/4 by three parts of
// π/2 (Cody & Waite), then Taylor polynomials; 1e-7 for |x| up to about 10⁴. `quarter` 0 gives sin, 1 gives cos.
fn sine(x: f32, quarter: i32) -> f32 {
  let n = round(x * 0.63661977);
  let r = ((x - n * 1.5703125) - n * 4.837512969970703e-4) - n * 7.549789948768648e-8;
  let r2 = r * r;
  let s = r * (1.0 + r2 * (-1.6666667e-1 + r2 * (8.3333333e-3 + r2 * (-1.9841270e-4 + r2 * 2.7557319e-6))));
  let c = 1.0 + r2 * (-0.5 + r2 * (4.1666667e-2 + r2 * (-1.3888889e-3 + r2 * 2.4801587e-5)));
  let q = (i32(n) + quarter) & 3;
  let v = select(s, c, (q & 1) == 1);
  return select(v, -v, q >= 2);
}

fn apply(x: f32, y: f32) -> f32 {
  switch OP {
    case AFFINE: { return params.p * x + params.q; }
    case EXP: { return exp(x); }
    case LOG: { return log(x); }
    case SQRT: { return sqrt(x); }
    case RSQRT: { return inverseSqrt(x); }
    case RECIPROCAL: { return 1.0 / x; }
    case SQUARE: { return x * x; }
    case ABS: { return abs(x); }
    case SIGN: { return sign(x); }
    case RELU: { return max(x, 0.0); }
    case SIGMOID: { return sigmoid(x); }
    case TANH: { return safe_tanh(x); }
    case SILU: { return x * sigmoid(x); }
    case GELU: { return 0.5 * x * (1.0 + erf(x * 0.70710678)); }
    case SIN: { return sine(x, 0); }
    case COS: { return sine(x, 1); }
    case CLAMP: { return clamp(x, params.p, params.q); }
    case POW: { return pow(x, params.p); }
    case FLOOR: { return floor(x); }
    case ADD: { return x + y; }
    case SUB: { return x - y; }
    case MUL: { return x * y; }
    case DIV: { return x / y; }
    case MAXIMUM: { return max(x, y); }
    case MINIMUM: { return min(x, y); }
    case GREATER: { return select(0.0, 1.0, x > y); }
    case GREATER_EQUAL: { return select(0.0, 1.0, x >= y); }
    case EQUAL: { return select(0.0, 1.0, x == y); }
    case RELU_GRAD: { return select(0.0, x, y > 0.0); }
    case SIGMOID_GRAD: { return x * y * (1.0 - y); }
    case TANH_GRAD: { return x * (1.0 - y * y); }
    case SILU_GRAD: { let s = sigmoid(y); return x * s * (1.0 + y * (1.0 - s)); }
    case GELU_GRAD: {
      return x * (0.5 * (1.0 + erf(y * 0.70710678)) + y * 0.39894228 * exp(-0.5 * y * y));
    }
    case ABS_GRAD: { return x * sign(y); }
    case CLAMP_GRAD: { return select(0.0, x, y >= params.p && y <= params.q); }
    default: { return 0.0; }
  }
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let span = linear_span(workgroup, grid, local, 64u, params.count);
  for (var i = span.start; i < span.end; i += 64u) {
    var ia = i;
    var ib = i;
    if (!DENSE) {
      let d1 = params.d1;
      let d2 = params.d2;
      let d3 = params.d3;
      ia = broadcast_index(i, d1, d2, d3, params.a0, params.a1, params.a2, params.a3);
      if (BINARY) { ib = broadcast_index(i, d1, d2, d3, params.b0, params.b1, params.b2, params.b3); }
    }
    let x = a[ia];
    var y = x;
    if (BINARY) { y = b[ib]; }
    out[i] = apply(x, y);
  }
}
