/** 64 secret bits. Whoever knows them can choose names that collide; nobody else can. */
export type HashKey = readonly [low: number, high: number];

/** 32 bits, unsigned, of the bytes from `start` to before `end` and of `kind`, which keeps equal texts of two kinds apart. */
export type KeyHash = (bytes: Uint8Array, start: number, end: number, kind: number, key: HashKey) => number;

/**
 * HalfSipHash-2-4 with 32 bits of output (Aumasson and Bernstein, SipHash reference, 2016). A small hash under a secret key is enough
 * here: it only says where to look, and whole keys are compared before anything is found. What it must prevent is that
 * people who choose their own hostnames choose such that all land in one place.
 *
 * `kind` is hashed as one more byte behind the text, so kind 0 of a text is the reference's hash of text and a zero byte.
 */
export function halfSipHash(bytes: Uint8Array, start: number, end: number, kind: number, key: HashKey): number {
  let v0 = key[0] | 0;
  let v1 = key[1] | 0;
  let v2 = 0x6c796765 ^ v0;
  let v3 = 0x74656462 ^ v1;
  const length = end - start + 1;
  // The last word holds what is left of the text, the kind, and the length in its highest byte.
  const whole = start + (length & ~3);
  let at = start;
  for (let last = false; !last; ) {
    let word: number;
    if (at + 4 <= end) {
      word =
        (bytes[at] as number) |
        ((bytes[at + 1] as number) << 8) |
        ((bytes[at + 2] as number) << 16) |
        ((bytes[at + 3] as number) << 24);
    } else {
      word = tailWord(bytes, at, end, kind);
      if (at >= whole) {
        word |= length << 24;
        last = true;
      }
    }
    at += 4;
    v3 ^= word;
    for (let round = 0; round < 2; round++) {
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
    }
    v0 ^= word;
  }
  v2 ^= 0xff;
  for (let round = 0; round < 4; round++) {
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
  }
  return (v1 ^ v3) >>> 0;
}

/** Fewer than four bytes of the text, then the kind once, then zeros. */
function tailWord(bytes: Uint8Array, at: number, end: number, kind: number): number {
  let word = 0;
  for (let index = 0; index < 4 && at + index <= end; index++) {
    word |= (at + index < end ? (bytes[at + index] as number) : kind) << (8 * index);
  }
  return word;
}
