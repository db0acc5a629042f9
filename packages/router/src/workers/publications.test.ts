import type { FeedPosition } from "@stampyard/directory";
import fc from "fast-check";
import { expect, test } from "vitest";
import { createPublications } from "./publications.ts";

const at = (version: number, incarnation = 1): FeedPosition => ({ incarnation, version, chain: `c${version}` });

test("acknowledgeable() is what the slowest listening worker has applied, and never more than is durable (D8)", () => {
  const all = createPublications();
  const fast = {};
  const slow = {};
  all.join(fast);
  all.join(slow);
  const seqs = [1, 2, 3].map((version) => all.next(at(version)));
  expect(all.acknowledgeable(at(3))).toBeUndefined();
  all.applied(fast, seqs[2] ?? 0);
  expect(all.acknowledgeable(at(3))).toBeUndefined();
  all.applied(slow, seqs[1] ?? 0);
  expect(all.acknowledgeable(at(3))).toEqual(at(2));
  expect(all.acknowledgeable(at(1))).toEqual(at(1));
  all.leave(slow);
  expect(all.acknowledgeable(at(3))).toEqual(at(3));
});

test("a worker that joins holds nothing back that was acknowledged before, and everything after", () => {
  const all = createPublications();
  all.next(at(1));
  expect(all.acknowledgeable(at(1))).toEqual(at(1));
  const late = {};
  all.join(late);
  expect(all.acknowledgeable(at(1))).toEqual(at(1));
  const seq = all.next(at(2));
  expect(all.acknowledgeable(at(2))).toEqual(at(1));
  all.applied(late, seq);
  expect(all.acknowledgeable(at(2))).toEqual(at(2));
});

test("a later incarnation is later, whatever its version", () => {
  const all = createPublications();
  const worker = {};
  all.join(worker);
  all.applied(worker, all.next(at(50)));
  all.next(at(3, 2));
  expect(all.acknowledgeable(at(3, 2))).toEqual(at(50));
});

test("over any history nothing is acknowledged that a listening worker lacks", () => {
  const step = fc.oneof(
    fc.constant({ kind: "publish" as const }),
    fc.record({ kind: fc.constantFrom("join" as const, "leave" as const, "apply" as const), who: fc.nat(3) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const all = createPublications();
      const workers = [{}, {}, {}, {}];
      /** What each would have applied: a joining one has all that was published. */
      const has = new Map<object, number>();
      let published = 0;
      for (const one of steps) {
        if (one.kind === "publish") {
          published += 1;
          all.next(at(published));
          continue;
        }
        const worker = workers[one.who] ?? {};
        if (one.kind === "join" && !has.has(worker)) {
          has.set(worker, published);
          all.join(worker);
        }
        if (one.kind === "leave") {
          has.delete(worker);
          all.leave(worker);
        }
        if (one.kind === "apply" && has.has(worker)) {
          const next = Math.min(published, (has.get(worker) ?? 0) + 1);
          has.set(worker, next);
          all.applied(worker, next);
        }
        const version = published === 0 ? 0 : (all.acknowledgeable(at(published))?.version ?? 0);
        for (const applied of has.values()) expect(version).toBeLessThanOrEqual(applied);
      }
      // Progress: when all have everything, so may it be said.
      for (const worker of has.keys()) all.applied(worker, published);
      if (published > 0) expect(all.acknowledgeable(at(published))).toEqual(at(published));
    }),
  );
});
