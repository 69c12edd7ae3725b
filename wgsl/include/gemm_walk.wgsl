// The walk of a tiled product in workgroup memory (gemm_tiles) from element `start` to `end` of the inner dimension, the
// same for the whole workgroup: own<r> are the blocks that this lane stages, source<r> where they are read. The next slab
// travels into registers while the products of the one in the tiles are computed: of none, at first.
#for r in BLOCKS
  var ahead${r} = mat4x4f();
#end
  var steps = 0u;
  for (var k = start; ; k += SLAB) {
#for r in BLOCKS
    ahead${r} = fetch_ahead(own${r}, source${r}, k, end);
#end
    for (var step = 0u; step < steps; step++) {
#for u in UNITS
      let left${u} = tile_at(HEIGHT, step, row_lane(local) + ${u} * DOWN);
#end
#for q in QUADS
      let right${q} = SLAB * HEIGHT + tile_at(BREADTH, step, column_lane(local) + ${q} * ACROSS);
#end
#for t in STEPS
#for u in UNITS
      let v${u}_${t} = tiles[left${u} + ${t} * HEIGHT];
#end
      let w${t} = array<vec4f, QUADS>(
#for q in QUADS
        tiles[right${q} + ${t} * BREADTH],
#end
      );
#end
#include gemm_step
    }
    if (k >= end) { break; }
    // Everybody has read the slab before; everybody has put this one.
    workgroupBarrier();
#for r in BLOCKS
    deposit(own${r}, ahead${r});
#end
    workgroupBarrier();
    steps = (min(SLAB, end - k) + STEPS - 1u) / STEPS;
  }
