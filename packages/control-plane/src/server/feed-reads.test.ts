import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "vitest";
import type { ChangesAnswer, Store } from "../store/port.ts";
import { changesAfter } from "./feed-reads.ts";

const position = { incarnation: 1, version: 3, chain: "a".repeat(64) };

function countingStore() {
  const asked: number[] = [];
  const answers: ((answer: ChangesAnswer) => void)[] = [];
  const directory = {
    changesAfter(from: { version: number }) {
      asked.push(from.version);
      return new Promise<ChangesAnswer>((resolve) => answers.push(resolve));
    },
  };
  return { store: { directory } as unknown as Store, asked, answers };
}

test("changesAfter() asks the store once for all who stand at one position", async () => {
  const { store, asked, answers } = countingStore();
  const readers = Array.from({ length: 50 }, () => changesAfter(store, position, 500));
  const other = changesAfter(store, { ...position, version: 2 }, 500);
  await turn();
  expect(asked).toEqual([3, 2]);
  const answer = { kind: "changes", changes: [], head: position } as const;
  for (const resolve of answers) resolve(answer);
  expect(new Set(await Promise.all(readers))).toEqual(new Set([answer]));
  expect(await other).toBe(answer);
});

test("changesAfter() never answers out of a query that began before it was asked", async () => {
  const { store, asked } = countingStore();
  void changesAfter(store, position, 500);
  await turn();
  void changesAfter(store, position, 500);
  await turn();
  expect(asked).toEqual([3, 3]);
});

test("changesAfter() fails for all who asked together, and only for them", async () => {
  let fails = true;
  const directory = { changesAfter: async () => (fails ? Promise.reject(new Error("gone")) : ("answer" as never)) };
  const store = { directory } as unknown as Store;
  const both = await Promise.allSettled([changesAfter(store, position, 1), changesAfter(store, position, 1)]);
  expect(both.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  fails = false;
  expect(await changesAfter(store, position, 1)).toBe("answer");
});
