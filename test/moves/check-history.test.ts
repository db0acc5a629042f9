import { createSeededRandom } from "@stampyard/testing";
import { describe, expect, test } from "vitest";
import { type AtTheEnd, checkHistory } from "./check-history.ts";
import type { Op } from "./history.ts";
import { checkRegister } from "./linearizable.ts";

const base = { client: "c", tenant: "acme", outcome: "ok", stamp: "s-1", epoch: 1 } as const;
const append = (value: string, more: Partial<Op> = {}): Op => {
  return { ...base, kind: "append", key: "hot", value, start: 0, end: 1, ...more };
};
const cas = (start: number, end: number, expected: string | undefined, value: string, more: Partial<Op> = {}): Op => {
  return {
    ...base,
    kind: "cas",
    key: "r",
    value,
    start,
    end,
    ...(expected === undefined ? {} : { expected }),
    ...more,
  };
};
const read = (start: number, end: number, observed: string | null): Op => {
  return { ...base, kind: "read", key: "r", value: "", start, end, observed };
};
const found = (value: string, stamp = "s-2") => ({ tenant: "acme", stamp, key: "hot", value });
const end = (more: Partial<AtTheEnd>): AtTheEnd => {
  return { homes: new Map([["acme", "s-2"]]), found: [], registers: [], ...more };
};
const problemsOf = (ops: readonly Op[], more: Partial<AtTheEnd>) =>
  checkHistory(ops, end(more)).map(({ what }) => what);

describe("checkHistory()", () => {
  test("accepts what was acknowledged once, and an unknown write either way (I15)", () => {
    const unknown = append("b", { outcome: "unknown" });
    expect(problemsOf([append("a"), unknown], { found: [found("a")] })).toEqual([]);
    expect(problemsOf([append("a"), unknown], { found: [found("a"), found("b")] })).toEqual([]);
  });

  test.each([
    ["a lost write", [append("a")], [], ["lost"]],
    ["a doubled write", [append("a")], [found("a"), found("a")], ["doubled"]],
    ["a doubled unknown write", [append("a", { outcome: "unknown" })], [found("a"), found("a")], ["doubled"]],
    ["a write that had failed", [append("a", { outcome: "fail" })], [found("a")], ["not-refused"]],
    ["a write in the stamp that was left", [append("a")], [found("a"), found("a", "s-1")], ["elsewhere", "doubled"]],
    ["a value that nobody wrote", [], [found("a")], ["invented"]],
    ["a value in another list", [append("a", { key: "l1" })], [found("a")], ["invented"]],
  ] as const)("finds %s (I15, I16)", (_, ops, rows, what) => {
    expect(problemsOf(ops, { found: rows })).toEqual(what);
  });

  test("finds a write that the old home took after the new one had (I16)", () => {
    const moved = append("b", { epoch: 2, stamp: "s-2", start: 2, end: 3 });
    const rows = [found("a"), found("b"), found("c")];
    const late = append("c", { start: 4, end: 5 });
    expect(problemsOf([append("a"), moved, late], { found: rows })).toEqual(["two-owners"]);
    const beside = append("c", { start: 2.5, end: 5 });
    expect(problemsOf([append("a"), moved, beside], { found: rows })).toEqual([]);
  });

  test("reads every register once more at the end, and only at the tenant's home", () => {
    const ops = [cas(0, 1, undefined, "a"), cas(2, 3, "a", "b")];
    const register = (value: string, stamp = "s-2") => ({ tenant: "acme", stamp, key: "r", value });
    expect(problemsOf(ops, { registers: [register("b")] })).toEqual([]);
    expect(problemsOf(ops, { registers: [register("a")] })).toEqual(["not-linearizable"]);
    expect(problemsOf(ops, {})).toEqual(["not-linearizable"]);
    expect(problemsOf(ops, { registers: [register("b"), register("a", "s-1")] })).toEqual(["elsewhere"]);
  });
});

describe("checkRegister()", () => {
  const isLinearizable = (...ops: Op[]) => checkRegister(ops).isLinearizable;

  test("accepts operations that overlap in either order", () => {
    expect(isLinearizable(cas(0, 10, undefined, "a"), read(1, 2, null), read(3, 4, "a"))).toBe(true);
    expect(isLinearizable(cas(0, 10, undefined, "a"), cas(1, 9, "a", "b"), read(2, 3, "b"))).toBe(true);
  });

  test("refuses a stale read, a lost update and two winners", () => {
    expect(isLinearizable(cas(0, 1, undefined, "a"), read(2, 3, null))).toBe(false);
    expect(isLinearizable(cas(0, 10, undefined, "a"), read(3, 4, "a"), read(5, 6, null))).toBe(false);
    expect(isLinearizable(cas(0, 1, undefined, "a"), cas(2, 3, "a", "b"), read(4, 5, "a"))).toBe(false);
    expect(isLinearizable(cas(0, 1, undefined, "a"), cas(2, 3, "a", "b"), cas(2, 3, "a", "c"))).toBe(false);
    expect(isLinearizable(cas(0, 1, undefined, "a"), cas(2, 3, "a", "b", { observed: "c" }))).toBe(false);
  });

  test("lets an unknown write happen late or never, but not before its call", () => {
    const unknown = cas(2, 3, "a", "b", { outcome: "unknown" });
    expect(isLinearizable(cas(0, 1, undefined, "a"), unknown, read(4, 5, "a"), read(6, 7, "b"))).toBe(true);
    expect(isLinearizable(cas(0, 1, undefined, "a"), unknown, read(4, 5, "a"))).toBe(true);
    expect(isLinearizable(cas(0, 1, undefined, "a"), read(1.2, 1.5, "b"), unknown)).toBe(false);
    expect(isLinearizable(cas(0, 1, undefined, "a"), unknown, read(4, 5, "b"), read(6, 7, "a"))).toBe(false);
  });

  test("leaves out what failed", () => {
    expect(isLinearizable(cas(0, 1, undefined, "a", { outcome: "fail" }), read(2, 3, null))).toBe(true);
    expect(isLinearizable(cas(0, 1, undefined, "a", { outcome: "fail" }), read(2, 3, "a"))).toBe(false);
  });

  test("accepts random histories of a true register, and refuses them when one answer is falsified", () => {
    let refused = 0;
    for (let seed = 1; seed <= 200; seed++) {
      const ops = trueHistory(seed);
      expect(checkRegister(ops).isLinearizable, `seed ${seed}`).toBe(true);
      const reads = ops.filter(({ kind }) => kind === "read");
      const victim = reads[reads.length - 1];
      const falsified = ops.map((op) => (op === victim ? { ...op, observed: "never written" } : op));
      if (!checkRegister(falsified).isLinearizable) refused += 1;
    }
    expect(refused).toBe(200);
  });
});

/** Six clients at one register that takes each operation at a moment between call and answer. */
function trueHistory(seed: number): Op[] {
  const random = createSeededRandom(seed);
  const moments: { at: number; run(): void }[] = [];
  const ops: Op[] = [];
  let value: string | null = null;
  for (let client = 0; client < 6; client++) {
    let time = random.int(0, 20);
    for (let n = 0; n < 40; n++) {
      const start = time;
      const at = start + random.int(1, 30);
      const back = at + random.int(1, 30);
      const isRead = random.chance(0.4);
      const isLost = random.chance(0.05);
      moments.push({
        at,
        run: () => {
          const expected = random.chance(0.8) ? value : "something else";
          if (isRead) ops.push(read(start, back, value));
          else if (expected === value) {
            const name = `v-${client}-${n}`;
            ops.push(cas(start, back, value ?? undefined, name, isLost ? { outcome: "unknown" } : {}));
            if (!isLost || random.chance(0.5)) value = name;
          } else ops.push(cas(start, back, "something else", "x", { observed: value }));
        },
      });
      time = back + random.int(0, 10);
    }
  }
  for (const moment of moments.sort((a, b) => a.at - b.at)) moment.run();
  ops.push(read(100_000, 100_001, value));
  return ops;
}
