// Pooling windows along one dimension, as half-open ranges. Strided: `kernel` elements from o·stride − pad, cut to the
// map. Adaptive (PyTorch's bins): from ⌊o·size/outputs⌋ up to ⌈(o + 1)·size/outputs⌉; bins may overlap.

// Elements in window o.
fn window_of(adaptive: bool, o: u32, size: u32, outputs: u32, kernel: u32, stride: u32, pad: u32) -> vec2u {
  if (adaptive) { return vec2u(o * size / outputs, ((o + 1u) * size + outputs - 1u) / outputs); }
  let start = o * stride;
  return vec2u(max(start, pad) - pad, min(start + kernel - pad, size));
}

// Windows that contain element i.
fn windows_over(adaptive: bool, i: u32, size: u32, outputs: u32, kernel: u32, stride: u32, pad: u32) -> vec2u {
  if (adaptive) { return vec2u(i * outputs / size, ((i + 1u) * outputs + size - 1u) / size); }
  let at = i + pad;
  return vec2u((max(at + stride, kernel) - kernel) / stride, min(at / stride + 1u, outputs));
}
