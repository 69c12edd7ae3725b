// One-dimensional work over a grid that may exceed 65,535 workgroups in x: see `linearGrid` on the host.

fn linear_index(workgroup: vec3u, grid: vec3u, local: u32, size: u32) -> u32 {
  return (workgroup.y * grid.x + workgroup.x) * size + local;
}
