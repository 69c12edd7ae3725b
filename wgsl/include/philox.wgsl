// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a counter-based generator,
// four 32-bit words from a 128-bit counter and a 64-bit key, the same on every adapter and in src/autograd/philox.ts.

fn philox_mulhilo(a: u32, b: u32) -> vec2u {
  // High and low word of the 64-bit product, from 16-bit halves.
  let a0 = a & 0xffffu;
  let a1 = a >> 16u;
  let b0 = b & 0xffffu;
  let b1 = b >> 16u;
  let p00 = a0 * b0;
  let p01 = a0 * b1;
  let p10 = a1 * b0;
  let mid = (p00 >> 16u) + (p01 & 0xffffu) + (p10 & 0xffffu);
  let high = a1 * b1 + (p01 >> 16u) + (p10 >> 16u) + (mid >> 16u);
  return vec2u(high, a * b);
}

fn philox4x32(counter: vec4u, key: vec2u) -> vec4u {
  var c = counter;
  var k = key;
  for (var round = 0u; round < 10u; round++) {
    let m0 = philox_mulhilo(0xD2511F53u, c.x);
    let m1 = philox_mulhilo(0xCD9E8D57u, c.z);
    c = vec4u(m1.x ^ c.y ^ k.x, m1.y, m0.x ^ c.w ^ k.y, m0.y);
    k += vec2u(0x9E3779B9u, 0xBB67AE85u);
  }
  return c;
}

// [0, 1): the top 24 bits, so that every value is exact in f32.
fn philox_uniform(word: u32) -> f32 {
  return f32(word >> 8u) * 5.9604644775390625e-8;
}
