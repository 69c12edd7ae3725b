import fc from 'fast-check'

/** Shapes of 0 to `maxRank` dimensions of 1 to 5. */
export const shapes = (maxRank = 4): fc.Arbitrary<number[]> =>
  fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 0, maxLength: maxRank })

/** A shape and another that broadcasts with it. */
export const broadcastPairs: fc.Arbitrary<[number[], number[]]> = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 5 }), fc.constantFrom('both', 'left', 'right')), { maxLength: 4 })
  .chain((dims) =>
    fc.tuple(fc.nat(dims.length), fc.boolean()).map(([drop, fromLeft]): [number[], number[]] => {
      const a = dims.map(([d, side]) => (side === 'right' ? 1 : d))
      const b = dims.map(([d, side]) => (side === 'left' ? 1 : d))
      return fromLeft ? [a.slice(drop), b] : [a, b.slice(drop)]
    }),
  )
