// Teams of LANES neighbouring invocations that share a result: `team_join` joins one value of each, and every one gets
// the whole. The kernel declares LANES, SIZE (the workgroup's, a multiple), the type Sum and fn join(a, b), and calls
// this in uniform control flow. Variants choose between this file (through workgroup memory; any multiple of 8, or fewer, up to SIZE),
// team_subgroup and team_alone; `teamFor` on the host says which suits.
//
// Eight-way joins instead of a binary tree: a barrier costs more than a few reads of workgroup memory. The order is fixed.

var<workgroup> partial: array<Sum, SIZE>;

fn team_join(value: Sum, local: u32) -> Sum {
  let lane = local % LANES;
  let base = local - lane;
  partial[local] = value;
  workgroupBarrier();
  if (LANES > 8u) {
    var joined = value;
    if (lane < LANES / 8u) {
      let first = base + lane * 8u;
      joined = partial[first];
      for (var i = 1u; i < 8u; i++) { joined = join(joined, partial[first + i]); }
    }
    workgroupBarrier();
    if (lane < LANES / 8u) { partial[base + lane] = joined; }
    workgroupBarrier();
  }
  var total = partial[base];
  for (var i = 1u; i < select(LANES, LANES / 8u, LANES > 8u); i++) { total = join(total, partial[base + i]); }
  workgroupBarrier();
  return total;
}
