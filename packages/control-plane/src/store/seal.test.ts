import { randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import { makeDataKey, makeMasterKey, seal, unseal, unwrapDataKey } from "./seal.ts";

const key = randomBytes(32);
const secret = Buffer.from("correct horse battery staple");

describe("seal()", () => {
  test("opens again in its place, and twice the same plain text looks different", () => {
    const one = seal(key, "stamp/a/secret/db", secret);
    const two = seal(key, "stamp/a/secret/db", secret);
    expect(one.equals(two)).toBe(false);
    expect(unseal(key, "stamp/a/secret/db", one)).toEqual(secret);
    expect(unseal(key, "", seal(key, "", Buffer.alloc(0)))).toHaveLength(0);
  });

  test("does not open in another place, under another key, or with any byte changed or cut", () => {
    const sealed = seal(key, "stamp/a/secret/db", secret);
    expect(() => unseal(key, "stamp/b/secret/db", sealed)).toThrow(/does not open/);
    expect(() => unseal(randomBytes(32), "stamp/a/secret/db", sealed)).toThrow(/does not open/);
    for (let at = 0; at < sealed.length; at++) {
      const changed = Buffer.from(sealed);
      changed[at] = (changed[at] ?? 0) ^ 0x40;
      expect(() => unseal(key, "stamp/a/secret/db", changed), `byte ${at}`).toThrow(/does not open/);
      expect(() => unseal(key, "stamp/a/secret/db", sealed.subarray(0, at)), `cut at ${at}`).toThrow(/does not open/);
    }
  });

  test("wraps a data key for one stamp, and names the master key that is missing", () => {
    const master = makeMasterKey(randomBytes(32));
    const other = makeMasterKey(randomBytes(32));
    const { key: dataKey, ...wrapped } = makeDataKey([master], "shared-1");
    expect(unwrapDataKey([other, master], "shared-1", wrapped)).toEqual(dataKey);
    expect(() => unwrapDataKey([master], "shared-2", wrapped)).toThrow(/does not open/);
    expect(() => unwrapDataKey([other], "shared-1", wrapped)).toThrow(master.id);
    expect(() => makeMasterKey(randomBytes(16))).toThrow(/16 bytes, not 32/);
  });
});
