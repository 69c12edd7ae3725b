// Up to four neighbouring results of a row, one by one: see store_four.

fn store(at: u32, count: u32, v: vec4f) {
  out[at] = v.x;
  if (count > 1u) { out[at + 1u] = v.y; }
  if (count > 2u) { out[at + 2u] = v.z; }
  if (count > 3u) { out[at + 3u] = v.w; }
}
