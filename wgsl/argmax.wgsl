// Where the largest element lies along the middle dimension of a row-major [outer, reduced, inner] array; the first of
// equals. NaN is larger than any number.
//
// Teams share outputs as in reduce.wgsl; of equal elements the one with the lower index wins, whatever the lanes. With
// PARTS, out: [outer, parts, inner] are the places of the largest in each part. The launch that JOINS these has them as
// `candidates` and reads the values where they lie. Limited by memory bandwidth.

#include linear
#include order

struct Params {
  outputs: u32,
  // Elements of x along the dimension, and those to search: as many, or with JOINS the candidates of an output.
  length: u32,
  reduced: u32,
  inner: u32,
  // Parts that an output is searched in, and elements of a part.
  parts: u32,
  part: u32,
}
#params Params

#const LANES: u32 = 1
#const SIZE: u32 = 64
#const ACROSS: bool = false
#const PARTS: bool = false
#const JOINS: bool = false
const TEAMS = SIZE / LANES;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<i32>;
#if JOINS
@group(0) @binding(2) var<storage, read> candidates: array<i32>;
#end

struct Best {
  value: f32,
  place: u32,
}

alias Sum = Best;
fn join(a: Best, b: Best) -> Best {
  if (above(b.value, a.value) || (equal(b.value, a.value) && b.place < a.place)) { return b; }
  return a;
}
#choose Team = team_alone

// Element r of the output i of row o: of x, or one of the candidates.
fn element(o: u32, i: u32, r: u32) -> Best {
#if JOINS
  let place = u32(candidates[(o * params.reduced + r) * params.inner + i]);
#else
  let place = r;
#end
  return Best(x[(o * params.length + place) * params.inner + i], place);
}

@compute @workgroup_size(SIZE)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let team = select(local / LANES, local % TEAMS, ACROSS);
  let lane = select(local % LANES, local / TEAMS, ACROSS);
  let id = linear_index(workgroup, grid, team, TEAMS);
  // An output out of range still takes part in the joins.
  let output = min(id, params.outputs - 1u);
  var o = output / params.inner;
  let i = output - o * params.inner;
  var start = 0u;
  var end = params.reduced;
  if (PARTS) {
    start = o % params.parts * params.part;
    end = min(start + params.part, params.reduced);
    o /= params.parts;
  }
  // Lanes beyond the last element start at the first one, which cannot win against itself.
  var best = element(o, i, select(start, start + lane, start + lane < end));
  for (var r = start + lane + LANES; r < end; r += LANES) {
    let other = element(o, i, r);
    // Places rise, so an equal one comes too late.
    if (above(other.value, best.value)) { best = other; }
  }
  best = team_join(best, team * LANES + lane);
  if (lane == 0u && id < params.outputs) { out[output] = i32(best.place); }
}
