// The sum of rows that share an index, as scatter_add.wgsl computes it, for adapters with many invocations:
// out[r, d] = Σ x[n, d] over all n with indices[n] = r, added in the order of n.
//
// A workgroup owns SIZE columns of a block of rows. Its invocations look at TILE indices at once, each at some of them,
// and mark in workgroup memory which fall in the block; then each walks the marks in their order and adds up its own
// column. So an index is read once a workgroup and not once an element, and only those that matter are walked. No float
// atomics, so results repeat bit for bit, and are those of scatter_add.wgsl. Limited by the latency of the marked rows,
// one after the other. Indices outside of the table are marked nowhere.

struct Params {
  // Workgroups: chunks of columns times blocks of rows.
  count: u32,
  chunks: u32,
  inner: u32,
  indices: u32,
  rows: u32,
  // Rows of a block.
  block: u32,
}
#params Params

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> indices: array<i32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

const SIZE = 256u;
const WORDS = 64u;
const TILE = 32u * WORDS;

var<workgroup> marks: array<atomic<u32>, WORDS>;

@compute @workgroup_size(SIZE)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let id = workgroup.y * grid.x + workgroup.x;
  if (id >= params.count) { return; }
  let block = id / params.chunks;
  let d = (id - block * params.chunks) * SIZE + local;
  let first = block * params.block;
  let rows = min(params.block, params.rows - first);
  // Invocations beyond the last column only help to mark.
  let own = d < params.inner;
  if (own) {
    for (var r = 1u; r < rows; r++) { out[(first + r) * params.inner + d] = 0.0; }
  }
  // The row whose sum is held, and written when another one's turn comes.
  var held = 0u;
  var sum = 0.0;
  for (var tile = 0u; tile < params.indices; tile += TILE) {
    let count = min(TILE, params.indices - tile);
    if (local < WORDS) { atomicStore(&marks[local], 0u); }
    workgroupBarrier();
    for (var n = local; n < count; n += SIZE) {
      // An index before the block wraps to a large number.
      if (u32(indices[tile + n]) - first < rows) { atomicOr(&marks[n / 32u], 1u << (n % 32u)); }
    }
    workgroupBarrier();
    for (var word = 0u; own && word * 32u < count; word++) {
      for (var bits = atomicLoad(&marks[word]); bits != 0u; bits &= bits - 1u) {
        let n = tile + word * 32u + countTrailingZeros(bits);
        if (rows > 1u) {
          let row = u32(indices[n]) - first;
          if (row != held) {
            out[(first + held) * params.inner + d] = sum;
            held = row;
            sum = out[(first + held) * params.inner + d];
          }
        }
        sum += x[n * params.inner + d];
      }
    }
    workgroupBarrier();
  }
  if (own) { out[(first + held) * params.inner + d] = sum; }
}
