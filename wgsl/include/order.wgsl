// An order of all values in which NaN is larger than any number, so that a maximum shows it, and equal to itself.

#include nan

fn above(a: f32, b: f32) -> bool {
  return !nan_f32(b) && (a > b || nan_f32(a));
}

fn equal(a: f32, b: f32) -> bool {
  return nan_f32(a) == nan_f32(b) && (a == b || nan_f32(a));
}
