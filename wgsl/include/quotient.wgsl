// Quotients of indices. An integer division costs more than the copy of an element that it is for: where all sizes that
// a kernel divides by are powers of two, the host passes their logarithms instead (see `divisors`).

#const SHIFT: bool = false

fn over(i: u32, size: u32) -> u32 {
  if (SHIFT) { return i >> size; }
  return i / size;
}

fn times(i: u32, size: u32) -> u32 {
  if (SHIFT) { return i << size; }
  return i * size;
}
