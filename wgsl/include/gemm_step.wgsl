// The core of every tiled product: STEPS elements of the inner dimension times the tile, with what the kernel read of
// its operands. v<u>_<t> holds four rows of unit u at element t. w<t> holds the columns at element t: with BROADCAST,
// this lane's EACH of them, handed round in the subgroup (column j lies in lane j / EACH); else all, in vectors of four.
// A sum takes all its products of a step one after the other: there are more sums than registers, and what is written
// back to memory once in four products costs half of what it costs after each. In the order of the inner dimension.
#for j in COLUMNS
#for t in STEPS
    {
#if BROADCAST
      let b = vec4f(subgroupBroadcast(w${t}[${j} % EACH], ${j} / EACH));
#else
      let b = vec4f(w${t}[${j} / 4][${j} % 4]);
#end
#for u in UNITS
      s${u}_${j} = fma(v${u}_${t}, b, s${u}_${j});
#end
    }
#end
#end
