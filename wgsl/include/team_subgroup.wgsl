// A team that is one whole subgroup of LANES invocations: see team_workgroup. No barriers, which are dear on software
// adapters. The order of additions is fixed.

enable subgroups;

fn team_join(value: Sum, local: u32) -> Sum {
  var joined = value;
  for (var mask = 1u; mask < LANES; mask *= 2u) { joined = join(joined, subgroupShuffleXor(joined, mask)); }
  return joined;
}
