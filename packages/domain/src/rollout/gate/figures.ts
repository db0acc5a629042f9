/** A share in words: `2%`, `0.35%`. */
export function percent(share: number): string {
  const value = share * 100;
  const digits = Math.abs(value) >= 10 ? 0 : Math.abs(value) >= 1 ? 1 : 2;
  return `${Number(value.toFixed(digits))}%`;
}

/** A difference of shares: `+4.8 points`. */
export function points(difference: number): string {
  const value = Number((difference * 100).toFixed(Math.abs(difference) >= 0.1 ? 0 : 2));
  return `${value < 0 ? "" : "+"}${value} points`;
}

export function chance(p: number): string {
  return p < 0.000_1 ? "below 0.01%" : percent(p);
}

/** Three of them, and how many more. */
export function some(words: readonly string[]): string {
  const more = words.length - 3;
  return more > 0 ? `${words.slice(0, 3).join(", ")} and ${more} more` : words.join(", ");
}
