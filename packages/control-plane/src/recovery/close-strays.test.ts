import type { Stamp, Tenant } from "@stampyard/domain";
import { expect, test } from "vitest";
import type { TenantHomeRow } from "../reconcilers/turn.ts";
import { stampFixture } from "../store/test-store.ts";
import { closeStrays } from "./close-strays.ts";
import type { RecoveryDeps } from "./collect-homes.ts";

const turn = { token: 1, signal: new AbortController().signal };
const log = { info: () => {}, warn: () => {}, error: () => {} };

/** Stamps `a` and `b`; every tenant lives on `b` at epoch 4. */
function world(onA: readonly TenantHomeRow[]) {
  const closed: string[] = [];
  const stamps: readonly Stamp[] = [stampFixture("a"), stampFixture("b")];
  const tenant = (key: string) => ({ value: { key, stamp: "b", epoch: 4 } as unknown as Tenant });
  const deps = {
    log,
    specOf: async (stamp: Stamp) => stamp.name,
    homes: {
      list: async (spec: unknown) => (spec === "a" ? onA : []),
      close: async (spec: unknown, key: string, epoch: number) => {
        closed.push(`${spec}/${key}@${epoch}`);
      },
    },
    store: {
      stamps: { all: async () => stamps.map((value) => ({ value })) },
      tenants: { read: async (key: string) => tenant(key), list: async () => ({ items: [] }) },
    },
  } as unknown as RecoveryDeps;
  return { deps, closed };
}

test("closeStrays() closes what lives elsewhere by now, and nothing that a move has just brought (I25)", async () => {
  const { deps, closed } = world([
    { tenant: "loser", state: "active", epoch: 3 },
    { tenant: "asleep", state: "suspended", epoch: 2 },
    { tenant: "arrived", state: "active", epoch: 5 },
    { tenant: "left", state: "moved", epoch: 4, movedTo: "b" },
  ]);
  expect(await closeStrays(deps, turn)).toBe(true);
  expect(closed).toEqual(["a/loser@3", "a/asleep@2"]);
});

test("closeStrays() asks again for what is fenced: its deadline opens it (I25, I41)", async () => {
  const fenced = world([{ tenant: "loser", state: "fenced", epoch: 3, moveId: "mv-1" }]);
  expect(await closeStrays(fenced.deps, turn)).toBe(false);
  expect(fenced.closed).toEqual([]);
  const opened = world([{ tenant: "loser", state: "active", epoch: 3 }]);
  expect(await closeStrays(opened.deps, turn)).toBe(true);
  expect(opened.closed).toEqual(["a/loser@3"]);
});
