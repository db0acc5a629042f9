import type { Digest } from "@stampyard/domain";
import { expect, test } from "vitest";
import { type HousekeepingDeps, pruneFiles } from "./housekeeping.ts";

test("pruneFiles() removes what nobody wants and says so, and nothing while the store may know less than the stamps", async () => {
  const wanted = new Set<Digest>(["sha256:a"]);
  const pruned: unknown[] = [];
  const logged: unknown[] = [];
  let mode = "recovering";
  const deps = {
    store: {
      meta: async () => ({ mode }),
      rollouts: { wantedContents: async (others: number) => (others === 10 ? wanted : new Set()) },
    },
    clock: { now: () => 7 },
    log: { info: (fields: unknown) => logged.push(fields) },
    contents: {
      prune: async (...args: unknown[]) => {
        pruned.push(args);
        return pruned.length === 1 ? ["sha256:b"] : [];
      },
    },
  } as unknown as HousekeepingDeps;
  await pruneFiles(deps);
  expect(pruned).toEqual([]);
  mode = "normal";
  await pruneFiles(deps);
  await pruneFiles(deps);
  expect(pruned).toEqual([
    [wanted, 7],
    [wanted, 7],
  ]);
  expect(logged).toEqual([{ contents: ["sha256:b"] }]);
});
