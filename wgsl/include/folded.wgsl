// Work of two dimensions, which may be too large for those of the grid (`foldedGrid` on the host).

#const FOLDED: bool = false

// Where this workgroup is in x and y of work that is `width` workgroups wide: beyond the last one, y has nothing to do.
fn folded(workgroup: vec3u, grid: vec3u, width: u32) -> vec2u {
  if (!FOLDED) { return workgroup.xy; }
  let id = workgroup.y * grid.x + workgroup.x;
  return vec2u(id % width, id / width);
}
