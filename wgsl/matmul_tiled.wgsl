// out[b] = op(a[b]) · op(b[b]) (+ bias [N]) for row-major [M, K] and [K, N], with any strides: transposes are strides.
//
// In registers: an invocation owns four rows and 16 columns, 64 sums, and walks K. The lanes of a workgroup take
// neighbouring rows and the same columns. The 16 elements of b that a step needs are the same for all of them: eight
// lanes load two each and hand them round by subgroup broadcast, since a load costs a software adapter as much for a
// value that all lanes share as for eight different ones (LANES = 4: four lanes load four). Limited by loads:
// 4 + 16 / LANES for 64 multiply-adds. The order of additions is that of K.

enable subgroups;

struct Params {
  m: u32, n: u32, k: u32,
  aBatch: u32, aRow: u32, aCol: u32,
  bBatch: u32, bRow: u32, bCol: u32,
}
#params Params

#const LANES: u32 = 8
#const SIZE: u32 = 64
#const BIAS: bool = false
const EACH = 16u / LANES;

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

fn store(at: u32, n: u32, column: u32, value: f32) {
  if (column < n) { out[at] = value + select(0.0, bias[column], BIAS); }
}

@compute @workgroup_size(SIZE)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_index) local: u32,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let row = (workgroup.x * SIZE + local) * 4u;
  let column = workgroup.y * 16u;
  // Rows and columns out of range read the last one, take part in the broadcasts, and are not stored.
  let base = workgroup.z * params.aBatch;
  let last = params.m - 1u;
  var a0 = base + min(row, last) * params.aRow;
  var a1 = base + min(row + 1u, last) * params.aRow;
  var a2 = base + min(row + 2u, last) * params.aRow;
  var a3 = base + min(row + 3u, last) * params.aRow;
  let mine = column + (lane % LANES) * EACH;
  let right = params.n - 1u;
  var b0 = workgroup.z * params.bBatch + min(mine, right) * params.bCol;
  var b1 = workgroup.z * params.bBatch + min(mine + 1u, right) * params.bCol;
  var b2 = workgroup.z * params.bBatch + min(mine + 2u, right) * params.bCol;
  var b3 = workgroup.z * params.bBatch + min(mine + 3u, right) * params.bCol;

  var s00 = vec4f(); var s01 = vec4f(); var s02 = vec4f(); var s03 = vec4f();
  var s04 = vec4f(); var s05 = vec4f(); var s06 = vec4f(); var s07 = vec4f();
  var s08 = vec4f(); var s09 = vec4f(); var s10 = vec4f(); var s11 = vec4f();
  var s12 = vec4f(); var s13 = vec4f(); var s14 = vec4f(); var s15 = vec4f();
  for (var k = 0u; k < params.k; k++) {
    let v = vec4f(a[a0], a[a1], a[a2], a[a3]);
    var w = vec4f(b[b0], b[b1], 0.0, 0.0);
    if (EACH == 4u) { w = vec4f(w.xy, b[b2], b[b3]); }
    s00 = fma(v, vec4f(subgroupBroadcast(w[0u % EACH], 0u / EACH)), s00);
    s01 = fma(v, vec4f(subgroupBroadcast(w[1u % EACH], 1u / EACH)), s01);
    s02 = fma(v, vec4f(subgroupBroadcast(w[2u % EACH], 2u / EACH)), s02);
    s03 = fma(v, vec4f(subgroupBroadcast(w[3u % EACH], 3u / EACH)), s03);
    s04 = fma(v, vec4f(subgroupBroadcast(w[4u % EACH], 4u / EACH)), s04);
    s05 = fma(v, vec4f(subgroupBroadcast(w[5u % EACH], 5u / EACH)), s05);
    s06 = fma(v, vec4f(subgroupBroadcast(w[6u % EACH], 6u / EACH)), s06);
    s07 = fma(v, vec4f(subgroupBroadcast(w[7u % EACH], 7u / EACH)), s07);
    s08 = fma(v, vec4f(subgroupBroadcast(w[8u % EACH], 8u / EACH)), s08);
    s09 = fma(v, vec4f(subgroupBroadcast(w[9u % EACH], 9u / EACH)), s09);
    s10 = fma(v, vec4f(subgroupBroadcast(w[10u % EACH], 10u / EACH)), s10);
    s11 = fma(v, vec4f(subgroupBroadcast(w[11u % EACH], 11u / EACH)), s11);
    s12 = fma(v, vec4f(subgroupBroadcast(w[12u % EACH], 12u / EACH)), s12);
    s13 = fma(v, vec4f(subgroupBroadcast(w[13u % EACH], 13u / EACH)), s13);
    s14 = fma(v, vec4f(subgroupBroadcast(w[14u % EACH], 14u / EACH)), s14);
    s15 = fma(v, vec4f(subgroupBroadcast(w[15u % EACH], 15u / EACH)), s15);
    a0 += params.aCol;
    a1 += params.aCol;
    a2 += params.aCol;
    a3 += params.aCol;
    b0 += params.bRow;
    b1 += params.bRow;
    b2 += params.bRow;
    b3 += params.bRow;
  }
  for (var r = 0u; r < 4u; r++) {
    if (row + r < params.m) {
      let at = (workgroup.z * params.m + row + r) * params.n + column;
      store(at, params.n, column, s00[r]);
      store(at + 1u, params.n, column + 1u, s01[r]);
      store(at + 2u, params.n, column + 2u, s02[r]);
      store(at + 3u, params.n, column + 3u, s03[r]);
      store(at + 4u, params.n, column + 4u, s04[r]);
      store(at + 5u, params.n, column + 5u, s05[r]);
      store(at + 6u, params.n, column + 6u, s06[r]);
      store(at + 7u, params.n, column + 7u, s07[r]);
      store(at + 8u, params.n, column + 8u, s08[r]);
      store(at + 9u, params.n, column + 9u, s09[r]);
      store(at + 10u, params.n, column + 10u, s10[r]);
      store(at + 11u, params.n, column + 11u, s11[r]);
      store(at + 12u, params.n, column + 12u, s12[r]);
      store(at + 13u, params.n, column + 13u, s13[r]);
      store(at + 14u, params.n, column + 14u, s14[r]);
      store(at + 15u, params.n, column + 15u, s15[r]);
    }
  }
}
