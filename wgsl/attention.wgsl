// Attention without an Nq × Nk buffer (Dao et al. 2022), forward and backward, as one template:
//
//     out[r] = Σ over c of w(r, c)·source[c],   where w needs the products rowA[r]·colA[c] and, in two modes, rowB[r]·colB[c]
//
//     MODE     rows     columns  rowA  colA  rowB  colB  source  w
//     FORWARD  queries  keys     q     k     –     v     v       softmax of s; lse is written
//     DQ       queries  keys     q     k     do    v     k       p·(dp − delta)·scale
//     DK       keys     queries  k     q     v     do    q       p·(dp − delta)·scale
//     DV       keys     queries  k     q     –     do    do      p
//
// with s = scale·rowA·colA, p = exp(s − lse[query]), dp = rowB·colB, delta[query] = do·out. All arrays are row-major
// [B, N, D or Dv]; lse and delta are [B, Nq]. For up to COLUMNS columns: more are matrix products (src/kernels/attention.ts).
//
// A workgroup of 64 owns 16 rows and up to 64·SPAN output columns of one batch element. Products: invocation (g, c) owns
// rows 4g…4g+3 and columns c and c + 16; operands pass through workgroup memory 32 elements of the inner dimension at a
// time. Weights go to workgroup memory as [column][row] vectors of four rows. Sums: LANES invocations lie along the
// output's columns, each with SPAN of them, and 64/LANES groups share the rows; the source is read once, in order. Outputs
// wider than 64·SPAN recompute the weights for each part. Limited by latency.

#include linear

struct Params {
  workgroups: u32,
  row_tiles: u32,
  parts: u32,
  rows: u32,
  columns: u32,
  depth: u32, // of rowA and colA
  width: u32, // of rowB and colB
  out_width: u32,
  scale: f32,
}
#params Params

@group(0) @binding(0) var<storage, read> row_a: array<f32>;
@group(0) @binding(1) var<storage, read> col_a: array<f32>;
@group(0) @binding(2) var<storage, read> row_b: array<f32>;
@group(0) @binding(3) var<storage, read> col_b: array<f32>;
@group(0) @binding(4) var<storage, read> delta: array<f32>;
// True in every mode but FORWARD: what only reads lse must not bind it as written, since a graph saved it.
#const GRADIENT: bool = false
#if GRADIENT
@group(0) @binding(5) var<storage, read> lse: array<f32>;
#else
@group(0) @binding(5) var<storage, read_write> lse: array<f32>;
#end
@group(0) @binding(6) var<storage, read_write> out: array<f32>;

const FORWARD = 0u;
const DQ = 1u;
const DK = 2u;
const DV = 3u;

#const MODE: u32 = FORWARD
// 16, 32 or 64.
#const LANES: u32 = 64
// More than 1 only where LANES = 64.
#const SPAN: u32 = 1

const SIZE = 64u;
const ROWS = 16u;
const COLUMNS = 32u;
const CHUNK = 8u; // vectors of four
const STRIDE = 9u; // padded, so that neighbours fall into different banks
const VECTORS = LANES / 16u; // vectors of four rows that one invocation sums
const ROWS_ARE_QUERIES = MODE == FORWARD || MODE == DQ;
const LOWEST = -1e30;

var<workgroup> row_tile: array<vec4f, 144>; // ROWS·STRIDE
var<workgroup> col_tile: array<vec4f, 288>; // COLUMNS·STRIDE
var<workgroup> weights: array<vec4f, 128>; // [COLUMNS][ROWS/4]
var<workgroup> joint: array<vec4f, SIZE>;
var<workgroup> row_factor: array<vec4f, 4>;

// Four elements from d of row `index`, zero beyond the ends. Without branches, of which robust access adds more:
// software adapters spend most of their compile time on branches between barriers.
fn fetch4(from_rows: bool, b: bool, base: u32, index: u32, count: u32, depth: u32, d: u32) -> vec4f {
  let d4 = vec4u(d, d + 1u, d + 2u, d + 3u);
  let at = (base + min(index, count - 1u)) * depth + min(d4, vec4u(depth - 1u));
  var v: vec4f;
  if (from_rows) {
    if (b) {
      v = vec4f(row_b[at.x], row_b[at.y], row_b[at.z], row_b[at.w]);
    } else {
      v = vec4f(row_a[at.x], row_a[at.y], row_a[at.z], row_a[at.w]);
    }
  } else {
    if (b) {
      v = vec4f(col_b[at.x], col_b[at.y], col_b[at.z], col_b[at.w]);
    } else {
      v = vec4f(col_a[at.x], col_a[at.y], col_a[at.z], col_a[at.w]);
    }
  }
  return select(vec4f(0.0), v, (d4 < vec4u(depth)) & vec4<bool>(index < count));
}

// Products of four rows with two columns: [0] with column c, [1] with column c + 16.
fn products(b: bool, local: u32, row_base: u32, row0: u32, col_base: u32, depth: u32) -> array<vec4f, 2> {
  let group = local / 16u;
  let column = local % 16u;
  var sums = array<vec4f, 2>(vec4f(0.0), vec4f(0.0));
  for (var d0 = 0u; d0 < depth; d0 += 4u * CHUNK) {
    for (var i = local; i < ROWS * CHUNK; i += SIZE) {
      let d = d0 + 4u * (i % CHUNK);
      row_tile[i / CHUNK * STRIDE + i % CHUNK] =
        fetch4(true, b, row_base, row0 + i / CHUNK, params.rows, depth, d);
    }
    for (var i = local; i < COLUMNS * CHUNK; i += SIZE) {
      let d = d0 + 4u * (i % CHUNK);
      col_tile[i / CHUNK * STRIDE + i % CHUNK] =
        fetch4(false, b, col_base, i / CHUNK, params.columns, depth, d);
    }
    workgroupBarrier();
    let steps = min(CHUNK, (depth - d0 + 3u) / 4u);
    for (var j = 0u; j < steps; j++) {
      let r0 = row_tile[(4u * group) * STRIDE + j];
      let r1 = row_tile[(4u * group + 1u) * STRIDE + j];
      let r2 = row_tile[(4u * group + 2u) * STRIDE + j];
      let r3 = row_tile[(4u * group + 3u) * STRIDE + j];
      let c0 = col_tile[column * STRIDE + j];
      let c1 = col_tile[(column + 16u) * STRIDE + j];
      sums[0] += vec4f(dot(r0, c0), dot(r1, c0), dot(r2, c0), dot(r3, c0));
      sums[1] += vec4f(dot(r0, c1), dot(r1, c1), dot(r2, c1), dot(r3, c1));
    }
    workgroupBarrier();
  }
  return sums;
}

// exp(s − lse) of four rows, where column is in range.
fn probabilities(s: vec4f, shift: vec4f, in_range: bool) -> vec4f {
  return select(vec4f(0.0), exp(s - shift), in_range);
}

@compute @workgroup_size(SIZE)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let id = linear_index(workgroup, grid, 0u, 1u);
  if (id >= params.workgroups) { return; }
  let row0 = id % params.row_tiles * ROWS;
  let part = id / params.row_tiles % params.parts;
  let batch = id / params.row_tiles / params.parts;
  let row_base = batch * params.rows;
  let col_base = batch * params.columns;

  // In the products.
  let group = local / 16u;
  let column = local % 16u;
  // In the sums.
  let lane = local % LANES;
  let first_vector = local / LANES * VECTORS;
  let out_column = part * LANES * SPAN + lane;

  var sums: array<vec4f, VECTORS * SPAN>;
  for (var i = 0u; i < VECTORS * SPAN; i++) { sums[i] = vec4f(0.0); }
  var row_max = vec4f(LOWEST);

  var w = products(false, local, row_base, row0, col_base, params.depth);
  let valid0 = column < params.columns;
  let valid1 = column + 16u < params.columns;
  w[0] *= params.scale;
  w[1] *= params.scale;
  if (MODE == FORWARD) {
    joint[local] = max(select(vec4f(LOWEST), w[0], valid0), select(vec4f(LOWEST), w[1], valid1));
    workgroupBarrier();
    for (var i = 0u; i < min(16u, params.columns); i++) { row_max = max(row_max, joint[group * 16u + i]); }
    w[0] = probabilities(w[0], row_max, valid0);
    w[1] = probabilities(w[1], row_max, valid1);
  } else {
    var shift0: vec4f;
    var less0: vec4f;
    var shift1: vec4f;
    var less1: vec4f;
    if (ROWS_ARE_QUERIES) {
      for (var i = 0u; i < 4u; i++) {
        let query = row_base + min(row0 + 4u * group + i, params.rows - 1u);
        shift0[i] = lse[query];
        less0[i] = delta[query];
      }
      shift1 = shift0;
      less1 = less0;
    } else {
      let query0 = col_base + min(column, params.columns - 1u);
      let query1 = col_base + min(column + 16u, params.columns - 1u);
      shift0 = vec4f(lse[query0]);
      shift1 = vec4f(lse[query1]);
      less0 = vec4f(delta[query0]);
      less1 = vec4f(delta[query1]);
    }
    w[0] = probabilities(w[0], shift0, valid0);
    w[1] = probabilities(w[1], shift1, valid1);
    if (MODE != DV) {
      let dp = products(true, local, row_base, row0, col_base, params.width);
      w[0] *= (dp[0] - less0) * params.scale;
      w[1] *= (dp[1] - less1) * params.scale;
    }
  }
  weights[column * 4u + group] = w[0];
  weights[(column + 16u) * 4u + group] = w[1];
  workgroupBarrier();
  for (var c = 0u; c < params.columns; c++) {
    let base = (col_base + c) * params.out_width;
    for (var k = 0u; k < SPAN; k++) {
      let at = out_column + k * LANES;
      var value = 0.0;
      if (at < params.out_width) {
        if (MODE == FORWARD || MODE == DV) { value = col_b[base + at]; } else { value = col_a[base + at]; }
      }
      for (var v = 0u; v < VECTORS; v++) { sums[v * SPAN + k] += weights[c * 4u + first_vector + v] * value; }
    }
  }

  if (MODE == FORWARD) {
    joint[local] = w[0] + w[1];
    workgroupBarrier();
    var total = vec4f(0.0);
    for (var i = 0u; i < min(16u, params.columns); i++) { total += joint[group * 16u + i]; }
    if (column == 0u) {
      row_factor[group] = 1.0 / total;
#if GRADIENT
      // lse is not written.
#else
      if (part == 0u) {
        for (var i = 0u; i < 4u; i++) {
          let row = row0 + 4u * group + i;
          if (row < params.rows) { lse[row_base + row] = row_max[i] + log(total[i]); }
        }
      }
#end
    }
    workgroupBarrier();
    for (var v = 0u; v < VECTORS; v++) {
      for (var k = 0u; k < SPAN; k++) { sums[v * SPAN + k] *= row_factor[first_vector + v]; }
    }
  }
  for (var v = 0u; v < VECTORS; v++) {
    let row = row0 + 4u * (first_vector + v);
    for (var i = 0u; i < min(4u, params.rows - min(row, params.rows)); i++) {
      for (var k = 0u; k < SPAN; k++) {
        let at = out_column + k * LANES;
        if (at < params.out_width) { out[(row_base + row + i) * params.out_width + at] = sums[v * SPAN + k][i]; }
      }
    }
  }
}
