import { afterAll, beforeAll, expect, test } from "vitest";
import { schemaName } from "./migrations.ts";
import { openStore } from "./open.ts";
import { run, startTestPostgres, type TestPostgres } from "./test-postgres.ts";
import { applyFleet, deleteTenant, leaderOf, stampFixture, testKeys } from "./test-store.ts";

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres[Symbol.asyncDispose]());

const dayMs = 86_400_000;
const capacity = { tenants: 50, units: { gib: 1_000 } };

/** A store with a stamp of room for fifty, and a way to move its past. */
async function opened() {
  const url = await postgres.database();
  const store = await openStore({ url, keys: testKeys });
  const ctx = await leaderOf(store);
  await applyFleet(store, ctx, [stampFixture("shared-1", { capacity })]);
  const today = Math.floor(Date.now() / dayMs);
  const came = (key: string, daysAgo: number) =>
    run(
      url,
      `SET search_path = ${schemaName};
       UPDATE tenants SET created_at = created_at - interval '${daysAgo} days' WHERE key = '${key}';
       UPDATE tenant_events SET at = at - interval '${daysAgo} days' WHERE tenant = '${key}' AND event = 'created'`,
    );
  return { url, store, ctx, today, came };
}

test("capacity.changes() counts who came and who has gone, by day and unit, as far back as it is asked", async () => {
  const { url, store, ctx, today, came } = await opened();
  await using _ = store;
  for (const key of ["a", "b", "c", "d", "e"]) {
    await store.tenants.create({ key, weight: key === "b" ? { tenants: 2, gib: 7 } : { tenants: 1 } }, ctx);
  }
  await came("a", 90);
  await came("b", 3);
  await came("c", 3);
  await came("e", 5);
  await deleteTenant(store, ctx, "e");
  await run(
    url,
    `SET search_path = ${schemaName}; UPDATE tenant_events SET at = at - interval '1 day' WHERE event = 'gone'`,
  );
  const changes = await store.capacity.changes((today - 30) * dayMs);
  expect(changes).toEqual([
    { pool: "shared", unit: "gib", day: today - 3, change: 7 },
    { pool: "shared", unit: "tenants", day: today - 5, change: 1 },
    { pool: "shared", unit: "tenants", day: today - 3, change: 3 },
    { pool: "shared", unit: "tenants", day: today - 1, change: -1 },
    { pool: "shared", unit: "tenants", day: today, change: 1 },
  ]);
  // Asked for two days only, the one that is gone is a loss alone: it came before.
  expect(await store.capacity.changes((today - 2) * dayMs)).toEqual([
    { pool: "shared", unit: "tenants", day: today - 1, change: -1 },
    { pool: "shared", unit: "tenants", day: today, change: 1 },
  ]);
});

test("capacity.loads() and sizes() say what tenants weigh, and how unevenly", async () => {
  const { store, ctx } = await opened();
  await using _ = store;
  for (let n = 0; n < 40; n++) {
    await store.tenants.create({ key: `t${n}`, ...(n % 4 === 0 ? { weight: { tenants: 1, gib: n + 1 } } : {}) }, ctx);
  }
  const gib = Array.from({ length: 10 }, (_, n) => n * 4 + 1);
  const load = (await store.capacity.loads()).get("shared-1");
  expect(load?.reserved).toEqual({ tenants: 40, gib: gib.reduce((a, b) => a + b) });
  const [, tenants] = await store.capacity.sizes();
  const [sizes] = (await store.capacity.sizes()).filter((row) => row.unit === "gib");
  expect(tenants).toMatchObject({ pool: "shared", unit: "tenants", tenants: 40, largest: 1, total: 40 });
  expect(sizes).toMatchObject({ tenants: 10, largest: 37, total: 190 });
  expect(sizes?.weights[0]).toBe(1);
  expect(sizes?.weights.at(-1)).toBe(37);
  expect(sizes?.weights).toEqual(sizes?.weights.toSorted((a, b) => a - b));
});

test("capacity.buildTimes() is the median of what stamps took to become active", async () => {
  const { url, store, ctx } = await opened();
  await using _ = store;
  for (const [name, seconds] of [
    ["shared-2", 60],
    ["shared-3", 100],
    ["shared-4", 300],
  ] as const) {
    const requested = stampFixture(name, { state: { kind: "verifying", attempt: 1 } });
    const { revision } = await store.stamps.create({ stamp: requested, secrets: {} }, ctx);
    await store.stamps.write(stampFixture(name), revision, {}, ctx);
    await run(
      url,
      `SET search_path = ${schemaName}; UPDATE stamps SET created_at = created_at - interval '${seconds} seconds' WHERE name = '${name}'`,
    );
  }
  const built = await store.capacity.buildTimes();
  expect(built.get("shared")).toBeGreaterThanOrEqual(100_000);
  expect(built.get("shared")).toBeLessThan(130_000);
});
