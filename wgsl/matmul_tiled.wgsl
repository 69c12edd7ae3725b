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
// Elements of K in a loop's step: more where an adapter keeps in memory what a loop changes.
#const STEPS: u32 = 1
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

#for j in 16
  var s${j} = vec4f();
#end
  for (var k = 0u; k < params.k; k += STEPS) {
#for step in STEPS
    {
      // Beyond K: zeros, whatever lies there.
      let inside = STEPS == 1u || k + ${step} < params.k;
      let v = select(vec4f(), vec4f(a[a0], a[a1], a[a2], a[a3]), inside);
      var w = vec4f(b[b0], b[b1], 0.0, 0.0);
      if (EACH == 4u) { w = vec4f(w.xy, b[b2], b[b3]); }
      w = select(vec4f(), w, inside);
#for j in 16
      s${j} = fma(v, vec4f(subgroupBroadcast(w[${j} % EACH], ${j} / EACH)), s${j});
#end
      a0 += params.aCol;
      a1 += params.aCol;
      a2 += params.aCol;
      a3 += params.aCol;
      b0 += params.bRow;
      b1 += params.bRow;
      b2 += params.bRow;
      b3 += params.bRow;
    }
#end
  }
  for (var r = 0u; r < 4u; r++) {
    if (row + r < params.m) {
      let at = (workgroup.z * params.m + row + r) * params.n + column;
#for j in 16
      store(at + ${j}, params.n, column + ${j}, s${j}[r]);
#end
    }
  }
}
