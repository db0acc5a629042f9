import { createHmac, createSecretKey, randomInt } from "node:crypto";
import { expect, test } from "vitest";
import { routeMac } from "./route-mac.ts";

test("routeMac() is HMAC-SHA-256, for keys and texts of any length up to its bounds", () => {
  const seed = randomInt(2 ** 31);
  let state = seed;
  const next = (most: number) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return (state >>> 8) % most;
  };
  for (let turn = 0; turn < 300; turn++) {
    const secret = Buffer.from(Array.from({ length: 1 + next(64) }, () => next(256)));
    const key = createSecretKey(secret);
    const mac = routeMac({ kid: "k", key });
    // Twice with one key, the longer text first: nothing of it may be left for the second.
    for (const length of [256 - next(30), next(120)]) {
      const text = String.fromCharCode(...Array.from({ length }, () => next(256)));
      const wanted = createHmac("sha256", key).update(text, "latin1").digest("base64url");
      expect(mac(text), `seed ${seed}, turn ${turn}`).toBe(wanted);
    }
  }
});

test("routeMac() refuses what its blocks do not hold", () => {
  expect(() => routeMac({ kid: "k", key: createSecretKey(Buffer.alloc(65)) })).toThrow(RangeError);
  const mac = routeMac({ kid: "k", key: createSecretKey(Buffer.alloc(32, 1)) });
  expect(() => mac("x".repeat(257))).toThrow(RangeError);
});
