export interface Part {
  readonly requests: number;
  readonly errors: number;
  readonly latency: readonly number[];
}

/**
 * Spreads whole counts evenly over parts of a time: the parts are whole numbers that add up to what there was, and none
 * has more errors than requests.
 * @param ends where each part ends, as shares of the time; the last is 1
 */
export function spread(
  { errors, latency }: { readonly errors: number; readonly latency: readonly number[] },
  ends: readonly number[],
): readonly Part[] {
  const classes = latency.map((count) => cut(count, ends));
  const wanted = cut(errors, ends);
  const parts = ends.map((_, index) => {
    const mine = classes.map((cuts) => cuts[index] ?? 0);
    return { latency: mine, requests: mine.reduce((total, count) => total + count, 0), errors: 0 };
  });
  let left = 0;
  for (const [index, part] of parts.entries()) {
    left += wanted[index] ?? 0;
    part.errors = Math.min(left, part.requests);
    left -= part.errors;
  }
  // What found no room behind finds it before; there are no more errors than requests.
  for (const part of parts) {
    const more = Math.min(left, part.requests - part.errors);
    part.errors += more;
    left -= more;
  }
  return parts;
}

function cut(count: number, ends: readonly number[]): number[] {
  let before = 0;
  return ends.map((end) => {
    const until = Math.round(count * Math.min(1, end));
    const part = until - before;
    before = until;
    return part;
  });
}
