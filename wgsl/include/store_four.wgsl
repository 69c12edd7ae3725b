// Four neighbouring results of a row at once, for kernels whose rows are a multiple of four long. The kernel declares
// `out` as an array of vec4f; `at` counts elements.

fn store(at: u32, count: u32, v: vec4f) {
  out[at / 4u] = v;
}
