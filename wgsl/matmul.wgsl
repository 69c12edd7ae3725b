// Batched matrix product by tiles in registers: out[b] = activation(op(a[b]) · op(b[b]) + bias + residual), where the
// core's rows are a's and its columns b's: a is [rows, K], or [K, rows] with TRANSPOSE_A; b is [K, columns], or
// [columns, K] with TRANSPOSE_B; out is [rows, columns], or its transpose with ROWS_INNERMOST, which lets neighbouring
// lanes write neighbouring elements. (The host swaps the operands as suits.)
//
// An invocation owns UNITS units of four rows times COLUMNS columns and walks K four elements a step. The lanes of a
// workgroup take neighbouring units and the same columns. The columns' elements of a step are the same for all lanes:
// with BROADCAST, SHARES lanes load EACH columns of them and hand them round, since a load costs a software adapter as
// much for a value that all lanes share as for eight different ones. Operands are read four elements at a time along
// their contiguous dimension (b: EACH of its columns), which the host has padded to a multiple of four, and K too.
// Workgroups lie along rows in x and (block of columns, part of K) in y (see folded): with several parts, out holds partial products [parts][batches, …],
// which gemm_join adds up. Limited by loads: 4 · UNITS + EACH vectors of four for 256 multiply-adds. The order of
// additions is that of K, whatever the tile.
//
// STAGED is the variant for GPUs: lanes lie along rows and columns, and read both operands from workgroup memory
// (gemm_tiles). Limited by arithmetic.

struct Params {
  batches: u32, rows: u32, columns: u32,
  // Padded: K, and the lengths of a's and b's contiguous dimensions.
  k: u32, width_a: u32, width_b: u32,
  // Parts of K, and elements of K in one: a multiple of four.
  parts: u32, part: u32,
  // Where the first matrix of each begins, and how far apart they lie.
  start_a: u32, start_b: u32, start_out: u32,
  stride_a: u32, stride_b: u32, stride_out: u32,
  // Workgroups along rows.
  groups: u32,
}
#params Params

#const TRANSPOSE_A: bool = false
#const TRANSPOSE_B: bool = false
#const ROWS_INNERMOST: bool = false
#const UNITS: u32 = 1
#const COLUMNS: u32 = 16
#const QUADS: u32 = 4
#const BROADCAST: bool = true
#const SHARES: u32 = 8
#const EACH: u32 = 2
// A load of b: EACH of its columns, or four elements; and what a lane computes with.
#alias B = vec2f
#const WIDTH_B: u32 = 2
#alias Values = vec2f
// Elements of a, and those of b as a vector: operands may be stored in half precision; sums are f32.
#const HALF: bool = false
#alias A = vec4f
#alias Loaded = vec2f
#if HALF
enable f16;
#end
#const SIZE: u32 = 64
#const BIAS: bool = false
#const RESIDUAL: bool = false
// The innermost dimension of out is a multiple of four.
#const FOUR: bool = true
#if FOUR
alias Out = vec4f;
#else
alias Out = f32;
#end
#alias V = vec4f
#include activation
#include folded
#const STEPS: u32 = 4
#include gemm_lanes

#if BROADCAST
enable subgroups;
#end

@group(0) @binding(0) var<storage, read> a: array<A>;
@group(0) @binding(1) var<storage, read> b: array<B>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read> residual: array<Out>;
@group(0) @binding(4) var<storage, read_write> out: array<Out>;

// Stores sums from index `i` of out's innermost dimension, with which biases go.
#if FOUR
fn store(at: u32, i: u32, sums: vec4f) {
  var value = sums;
#if BIAS
  value += vec4f(bias[i], bias[i + 1u], bias[i + 2u], bias[i + 3u]);
#end
#if RESIDUAL
  value += residual[at / 4u];
#end
  out[at / 4u] = activate(value);
}
#else
fn store(at: u32, i: u32, sum: f32) {
  var value = sum;
#if BIAS
  value += bias[i];
#end
#if RESIDUAL
  value += residual[at];
#end
  out[at] = activate(vec4f(value)).x;
}
#end

#if STAGED
const LEFT_ALONG = !TRANSPOSE_A;
const RIGHT_ALONG = TRANSPOSE_B;
#include gemm_tiles

// The element of a or b where a block's vector begins.
alias Source = u32;

fn fetch(own: Block, source: Source, k: u32) -> mat4x4f {
  if (own.left) {
    let at = source + k * select(1u, params.width_a, TRANSPOSE_A);
    let block = mat4x4f(
#for t in 4
      vec4f(a[(at + ${t} * params.width_a) / 4u]),
#end
    );
    if (TRANSPOSE_A) { return block; }
    return transpose(block);
  }
  let at = source + k * select(params.width_b, 1u, TRANSPOSE_B);
  let block = mat4x4f(
#for t in 4
    vec4f(b[(at + ${t} * params.width_b) / 4u]),
#end
  );
  if (TRANSPOSE_B) { return transpose(block); }
  return block;
}
#end

@compute @workgroup_size(SIZE)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
#if BROADCAST
  @builtin(subgroup_invocation_id) lane: u32,
#end
) {
  let place = folded(workgroup, grid, params.groups);
  let block = place.y / params.parts;
  let part = place.y - block * params.parts;
#if STAGED
  if (FOLDED && block * BREADTH * 4u >= params.columns) { return; }
  let first = (place.x * HEIGHT + row_lane(local)) * 4u;
  let column = (block * BREADTH + column_lane(local)) * 4u;
#for r in BLOCKS
  let own${r} = block_at(local + ${r} * SIZE);
#end
#else
  if (FOLDED && block * COLUMNS >= params.columns) { return; }
  let first = (place.x * SIZE + local) * UNITS * 4u;
  let column = block * COLUMNS;
#end
#if BROADCAST
  let own = column + lane % SHARES * EACH;
#else
  let own = column;
#end
  let start = part * params.part;
  let end = min(start + params.part, params.k);
  for (var batch = workgroup.z; batch < params.batches; batch += grid.z) {
#include gemm_sums
    // What lies beyond the last row or column is read as it comes (loads stay within the buffer) and not stored.
#if STAGED
#for r in BLOCKS
    let row${r} = (place.x * HEIGHT + own${r}.vector) * 4u * select(params.width_a, 1u, TRANSPOSE_A);
    let column${r} = (block * BREADTH + own${r}.vector) * 4u * select(1u, params.width_b, TRANSPOSE_B);
    let a_source${r} = params.start_a + batch * params.stride_a + row${r};
    let b_source${r} = params.start_b + batch * params.stride_b + column${r};
    let source${r} = select(b_source${r}, a_source${r}, own${r}.left);
#end
#include gemm_walk
#else
#if TRANSPOSE_A
    let a_base = params.start_a + batch * params.stride_a + first;
#else
    let a_base = params.start_a + batch * params.stride_a + first * params.width_a;
#end
#if TRANSPOSE_B
    let b_base = params.start_b + batch * params.stride_b + own * params.width_b;
#else
    let b_base = params.start_b + batch * params.stride_b + own;
#end
    for (var k = start; k < end; k += STEPS) {
#for u in UNITS
#if TRANSPOSE_A
#for t in STEPS
      let v${u}_${t} = vec4f(a[(a_base + (k + ${t}) * params.width_a) / 4u + ${u}]);
#end
#else
      let across${u} = array<vec4f, 4>(
#for r in 4
        vec4f(a[(a_base + (4 * ${u} + ${r}) * params.width_a + k) / 4u]),
#end
      );
#for t in STEPS
      let v${u}_${t} = vec4f(across${u}[0][${t}], across${u}[1][${t}], across${u}[2][${t}], across${u}[3][${t}]);
#end
#end
#end
#if TRANSPOSE_B
      let along = array<vec4f, EACH>(
#for e in EACH
        vec4f(b[(b_base + ${e} * params.width_b + k) / WIDTH_B]),
#end
      );
#end
#for t in STEPS
#if BROADCAST
#if TRANSPOSE_B
      let w${t} = Values(
#for e in EACH
        along[${e}][${t}],
#end
      );
#else
      let w${t} = Values(Loaded(b[(b_base + (k + ${t}) * params.width_b) / WIDTH_B]));
#end
#else
      let w${t} = array<vec4f, QUADS>(
#for q in QUADS
#if TRANSPOSE_B
        vec4f(along[4 * ${q}][${t}], along[4 * ${q} + 1][${t}], along[4 * ${q} + 2][${t}], along[4 * ${q} + 3][${t}]),
#else
        vec4f(b[(b_base + (k + ${t}) * params.width_b) / WIDTH_B + ${q}]),
#end
#end
      );
#end
#end
#include gemm_step
    }
#end
    let base = params.start_out + (part * params.batches + batch) * params.stride_out;
#for u in UNITS
    {
      let row = first + 4 * DOWN * ${u};
#if ROWS_INNERMOST
#for j in COLUMNS
      if (column + column_of(${j}) < params.columns && row < params.rows) {
        let at = base + (column + column_of(${j})) * params.rows + row;
#if FOUR
        store(at, row, s${u}_${j});
#else
        let count = params.rows - row;
#for r in 4
        if (count > ${r}) { store(at + ${r}, row + ${r}, s${u}_${j}[${r}]); }
#end
#end
      }
#end
#else
      let sums = array<vec4f, COLUMNS>(
#for j in COLUMNS
        s${u}_${j},
#end
      );
#for r in 4
      if (row + ${r} < params.rows) {
        let at = base + (row + ${r}) * params.columns + column;
#if FOUR
#for q in QUADS
        if (column + 4 * ACROSS * ${q} < params.columns) {
          let four = vec4f(sums[4 * ${q}][${r}], sums[4 * ${q} + 1][${r}], sums[4 * ${q} + 2][${r}], sums[4 * ${q} + 3][${r}]);
          store(at + 4 * ACROSS * ${q}, column + 4 * ACROSS * ${q}, four);
        }
#end
#else
#for j in COLUMNS
        if (column + column_of(${j}) < params.columns) {
          store(at + column_of(${j}), column + column_of(${j}), sums[${j}][${r}]);
        }
#end
#end
      }
#end
#end
    }
#end
  }
}
