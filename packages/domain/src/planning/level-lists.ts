/** Stamps in levels by how full they are: who stands in a level, and the nearest level with anybody in it. */
export interface LevelLists {
  levelOf(stamp: number): number;
  /** Puts a new stamp, numbered in order, into a level. */
  add(level: number): void;
  move(stamp: number, level: number): void;
  /** -1 when nobody stands there. */
  first(level: number): number;
  next(stamp: number): number;
  /** Lowest level from this one on that has a stamp, or -1. */
  lowestFrom(level: number): number;
  /** Highest level up to this one that has a stamp, or -1. */
  highestUpTo(level: number): number;
}

export const levels = 1_024;
const words = levels / 32;

/** Linked lists in typed arrays, and one bit per level: no step costs more with ten thousand stamps than with ten. */
export function levelLists(): LevelLists {
  let count = 0;
  let next = new Int32Array(64);
  let before = new Int32Array(64);
  let levelOf = new Int32Array(64);
  const head = new Int32Array(levels).fill(-1);
  const used = new Int32Array(words);

  function link(stamp: number, level: number): void {
    const first = head[level] ?? -1;
    next[stamp] = first;
    before[stamp] = -1;
    if (first >= 0) before[first] = stamp;
    head[level] = stamp;
    levelOf[stamp] = level;
    used[level >> 5] = (used[level >> 5] ?? 0) | (1 << (level & 31));
  }

  function unlink(stamp: number): void {
    const level = levelOf[stamp] ?? 0;
    const one = before[stamp] ?? -1;
    const other = next[stamp] ?? -1;
    if (one >= 0) next[one] = other;
    else head[level] = other;
    if (other >= 0) before[other] = one;
    if ((head[level] ?? -1) < 0) used[level >> 5] = (used[level >> 5] ?? 0) & ~(1 << (level & 31));
  }

  return {
    levelOf: (stamp) => levelOf[stamp] ?? 0,
    add(level) {
      if (count === next.length) {
        next = doubled(next);
        before = doubled(before);
        levelOf = doubled(levelOf);
      }
      link(count, level);
      count += 1;
    },
    move(stamp, level) {
      if (level === levelOf[stamp]) return;
      unlink(stamp);
      link(stamp, level);
    },
    first: (level) => head[level] ?? -1,
    next: (stamp) => next[stamp] ?? -1,
    lowestFrom: (level) => (level < levels ? lowestFrom(used, level) : -1),
    highestUpTo: (level) => (level < 0 ? -1 : highestUpTo(used, level)),
  };
}

function doubled(array: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(array.length * 2);
  larger.set(array);
  return larger;
}

function lowestFrom(used: Int32Array, level: number): number {
  let word = level >> 5;
  let bits = (used[word] ?? 0) & (-1 << (level & 31));
  while (bits === 0) {
    word += 1;
    if (word >= words) return -1;
    bits = used[word] ?? 0;
  }
  return word * 32 + (31 - Math.clz32(bits & -bits));
}

function highestUpTo(used: Int32Array, level: number): number {
  let word = level >> 5;
  let bits = (used[word] ?? 0) & (-1 >>> (31 - (level & 31)));
  while (bits === 0) {
    word -= 1;
    if (word < 0) return -1;
    bits = used[word] ?? 0;
  }
  return word * 32 + (31 - Math.clz32(bits));
}
