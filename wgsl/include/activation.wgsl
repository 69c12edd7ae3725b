// Activations fused behind a kernel, on values of type V (f32 or vec4f), and their derivatives.

const NONE = 0u;
const SILU = 1u;
const RELU = 2u;
#const ACTIVATION: u32 = NONE

#include keep_nan

fn activate(z: V) -> V {
  if (ACTIVATION == SILU) { return z / (1.0 + exp(-z)); }
  if (ACTIVATION == RELU) { return keep_nan(z, max(z, V(0.0))); }
  return z;
}

fn activation_slope(z: V) -> V {
  if (ACTIVATION == SILU) {
    let s = 1.0 / (1.0 + exp(-z));
    return s * (1.0 + z * (1.0 - s));
  }
  if (ACTIVATION == RELU) { return select(V(0.0), V(1.0), (z > V(0.0)) | nan_${V}(z)); }
  return V(1.0);
}

fn activation_curvature(z: V) -> V {
  if (ACTIVATION == SILU) {
    let s = 1.0 / (1.0 + exp(-z));
    return s * (1.0 - s) * (2.0 + z * (1.0 - 2.0 * s));
  }
  return V(0.0);
}
