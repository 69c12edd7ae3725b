// Elements taken one by one (V = f32, WIDTH = 1) or by four neighbours (V = vec4f, WIDTH = 4), which a software adapter
// loads in little more time than one.

#alias V = f32
#const WIDTH: u32 = 1

// The sum of the elements of v; a single one becomes four equal ones as a vec4f.
fn across(v: V) -> f32 {
  if (WIDTH == 4u) { return dot(vec4f(v), vec4f(1.0)); }
  return vec4f(v).x;
}
