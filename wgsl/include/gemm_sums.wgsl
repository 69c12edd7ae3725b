// The sums of the tiled product core (gemm_step): UNITS units of four rows each, times COLUMNS columns.
#for u in UNITS
#for j in COLUMNS
  var s${u}_${j} = vec4f();
#end
#end
