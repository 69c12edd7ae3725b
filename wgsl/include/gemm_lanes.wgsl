// How the lanes of a tiled product lie. Each reads its operands for itself and all lie along the rows; or, STAGED, DOWN
// of them lie along the rows and ACROSS along the columns, and read what they staged together in BLOCKS rounds
// (gemm_tiles).

#const STAGED: bool = false
#const DOWN: u32 = 1
#const ACROSS: u32 = 1
#const BLOCKS: u32 = 1

// Where a lane's column j lies behind its first: vectors of four are ACROSS vectors apart.
fn column_of(j: u32) -> u32 { return j / 4u * 4u * ACROSS + j % 4u; }
