// One-dimensional work over a grid that may exceed 65,535 workgroups in x: see `linearGrid` on the host.

fn linear_index(workgroup: vec3u, grid: vec3u, local: u32, size: u32) -> u32 {
  return (workgroup.y * grid.x + workgroup.x) * size + local;
}

// Invocations of the whole grid: the step of a loop over work that may exceed it. See `loopGrid` on the host.
fn linear_size(grid: vec3u, size: u32) -> u32 {
  return grid.x * grid.y * size;
}
