// For functions of values of type V (f32 or vec4f) that would drop a NaN: a divergence must not be hidden by them.

#include nan

// `result`, but NaN where x is.
fn keep_nan(x: V, result: V) -> V {
  return select(result, x, nan_${V}(x));
}
