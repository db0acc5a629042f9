/** Numbers that look random and are the same for the same seed: a simulation is a result, so it must come out again. */
export interface SeededNumbers {
  /** At least 0 and below 1. */
  uniform(): number;
  /** Of the standard normal distribution. */
  normal(): number;
}

/** The small fast counting generator sfc32 (128 bits of state), warmed up. */
export function seededNumbers(seed: number): SeededNumbers {
  let a = 0x9e3779b9 ^ seed;
  let b = 0x243f6a88 ^ Math.floor(seed / 2 ** 32);
  let c = 0xb7e15162;
  let counter = 1;
  const uniform = () => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return (sum >>> 0) / 2 ** 32;
  };
  for (let round = 0; round < 16; round++) uniform();
  let kept: number | undefined;
  return {
    uniform,
    normal() {
      if (kept !== undefined) {
        const value = kept;
        kept = undefined;
        return value;
      }
      // Box and Muller: two uniform numbers become two normal ones. 1 - u is never 0.
      const radius = Math.sqrt(-2 * Math.log(1 - uniform()));
      const angle = 2 * Math.PI * uniform();
      kept = radius * Math.sin(angle);
      return radius * Math.cos(angle);
    },
  };
}
