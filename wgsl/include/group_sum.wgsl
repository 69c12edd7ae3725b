// Sums over the LANES invocations that share a group: they lie together in a workgroup of SIZE, which holds whole
// groups. Every invocation gets the total. Eight-way sums instead of a binary tree: a barrier costs more than a few
// reads of workgroup memory, on software adapters by far. The order of additions is fixed.
//
// The kernel declares LANES (8, 64 or 256), SIZE and the type Sum, and calls this in uniform control flow.

var<workgroup> partial: array<Sum, SIZE>;

fn group_sum(value: Sum, local: u32) -> Sum {
  let lane = local % LANES;
  let base = local - lane;
  partial[local] = value;
  workgroupBarrier();
  if (LANES > 8u) {
    var joined = value;
    if (lane < LANES / 8u) {
      let first = base + lane * 8u;
      joined = partial[first];
      for (var i = 1u; i < 8u; i++) { joined += partial[first + i]; }
    }
    workgroupBarrier();
    if (lane < LANES / 8u) { partial[base + lane] = joined; }
    workgroupBarrier();
  }
  var total = partial[base];
  for (var i = 1u; i < max(LANES / 8u, min(LANES, 8u)); i++) { total += partial[base + i]; }
  workgroupBarrier();
  return total;
}
