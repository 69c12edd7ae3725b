// Where an output index lies in a broadcast input. Up to four dimensions, outermost first: the sizes of the inner
// three, and strides in elements (0 along a broadcast dimension). The host coalesces dimensions to fit.

fn broadcast_index(i: u32, d1: u32, d2: u32, d3: u32, s0: u32, s1: u32, s2: u32, s3: u32) -> u32 {
  let r3 = i / d3;
  let r2 = r3 / d2;
  let i0 = r2 / d1;
  return (i - r3 * d3) * s3 + (r3 - r2 * d2) * s2 + (r2 - i0 * d1) * s1 + i0 * s0;
}
