// Tiles of a product in workgroup memory, for GPUs: SIZE lanes, ACROSS of them along the columns and DOWN along the
// rows, own a tile of DOWN · UNITS units of four rows times ACROSS · QUADS vectors of four columns, and walk the inner
// dimension in slabs of 16 elements that they stage together (gemm_walk). Each element is read from its buffer once a
// workgroup and not once a lane.
//
// A slab is staged in blocks of four elements times one vector, by one lane each: the kernel's
// `fetch(own: Block, source: Source, k: u32) -> mat4x4f` reads the block whose first element is k, a column of the matrix an
// element. Where the inner dimension is the contiguous one (LEFT_ALONG, RIGHT_ALONG), neighbouring lanes take
// neighbouring elements, else neighbouring vectors, so that their reads fall together. A tile is [element][vector], with
// the vectors of step s (four elements) at their number xor 2s: eight lanes that write four steps of two vectors, or that
// read eight vectors of one, find eight different groups of banks, without padding. So 128×128 sums need 16 KiB, which
// every adapter has.

const SLAB = 16u;
const SLAB_STEPS = SLAB / 4u;
// Vectors of an element on each side.
const HEIGHT = DOWN * UNITS;
const BREADTH = ACROSS * QUADS;
const LEFT_BLOCKS = HEIGHT * SLAB_STEPS;
const RIGHT_BLOCKS = BREADTH * SLAB_STEPS;

// The left tile, and behind it the right one.
var<workgroup> tiles: array<vec4f, SLAB * (HEIGHT + BREADTH)>;

// Which unit of rows a lane owns first, and which vector of columns; the others lie DOWN and ACROSS further on, so that
// neighbouring lanes own neighbours. Eight lanes lie along the rows, then all along the columns: 32 lanes read 8 + 4
// vectors of an element and not 16 + 2.
fn row_lane(local: u32) -> u32 { return local / (8u * ACROSS) * 8u + local % 8u; }
fn column_lane(local: u32) -> u32 { return local / 8u % ACROSS; }

// A block that a lane stages: of the left tile or the right, one vector of it, and which four elements of a slab.
struct Block {
  left: bool,
  vector: u32,
  step: u32,
  // There are fewer blocks than lanes in the last round.
  used: bool,
}

fn block_at(i: u32) -> Block {
  if (i < LEFT_BLOCKS) {
    if (LEFT_ALONG) { return Block(true, i / SLAB_STEPS, i % SLAB_STEPS, true); }
    return Block(true, i % HEIGHT, i / HEIGHT, true);
  }
  let j = i - LEFT_BLOCKS;
  if (RIGHT_ALONG) { return Block(false, j / SLAB_STEPS, j % SLAB_STEPS, j < RIGHT_BLOCKS); }
  return Block(false, j % BREADTH, j / BREADTH, j < RIGHT_BLOCKS);
}

// The block's elements of the slab from k. What lies beyond the end is not read, and no step takes it.
fn fetch_ahead(own: Block, source: Source, k: u32, end: u32) -> mat4x4f {
  let first = k + 4u * own.step;
  if (own.used && first < end) { return fetch(own, source, first); }
  return mat4x4f();
}

// Where vector `i` of step `step` begins in a tile of `count` vectors an element.
fn tile_at(count: u32, step: u32, i: u32) -> u32 {
  return 4u * step * count + (i ^ (2u * step));
}

fn deposit(own: Block, block: mat4x4f) {
  if (!own.used) { return; }
  let count = select(BREADTH, HEIGHT, own.left);
  let at = select(SLAB * HEIGHT, 0u, own.left) + tile_at(count, own.step, own.vector);
#for t in 4
  tiles[at + ${t} * count] = block[${t}];
#end
}
