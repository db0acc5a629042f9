import { expect, test } from "vitest";
import { type HashKey, halfSipHash } from "./half-sip-hash.ts";

// The reference's vectors for the key 00…07 and the texts 00, 00 01, 00 01 02 …; our kind is their last byte.
const vectors = ["27475ab8", "fa62a603", "8afee704", "2a6e4689", "c5fab669", "5863fc23", "8bcf63c5", "d0b8848f"];

test("halfSipHash() gives the reference's values", () => {
  const key: HashKey = [0x03020100, 0x07060504];
  const text = Uint8Array.from({ length: 20 }, (_, byte) => byte);
  for (const [length, vector] of vectors.entries()) {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, halfSipHash(text, 0, length, length, key), true);
    expect(Buffer.from(bytes).toString("hex"), `${length + 1} bytes`).toBe(vector);
  }
});

test("halfSipHash() gives another order of names under another key", () => {
  const orderUnder = (key: HashKey) =>
    Array.from({ length: 100 }, (_, number) => `t${number}`)
      .map((name) => [halfSipHash(Buffer.from(name), 0, name.length, 0, key), name] as const)
      .sort(([left], [right]) => left - right)
      .map(([, name]) => name);
  expect(orderUnder([1, 2])).not.toEqual(orderUnder([1, 3]));
  expect(orderUnder([1, 2])).not.toEqual(orderUnder([2, 2]));
});
