// Where an output index lies in a broadcast input. Up to RANK dimensions, outermost first and right-aligned: the sizes
// of the inner ones (see quotient), and strides in elements (0 along a broadcast dimension). The host coalesces
// dimensions to fit.

#include quotient

// 2 or 4.
#const RANK: u32 = 4

fn broadcast_index(i: u32, d1: u32, d2: u32, d3: u32, s0: u32, s1: u32, s2: u32, s3: u32) -> u32 {
  let r3 = over(i, d3);
  let inner = (i - times(r3, d3)) * s3;
  if (RANK == 2u) { return inner + r3 * s2; }
  let r2 = over(r3, d2);
  let i0 = over(r2, d1);
  return inner + (r3 - times(r2, d2)) * s2 + (r2 - times(i0, d1)) * s1 + i0 * s0;
}
