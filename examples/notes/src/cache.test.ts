import { expect, test, vi } from "vitest";
import { type CacheStore, cacheOver } from "./cache.ts";

/** The few commands the cache uses, on a Map. Without expiry: tests of time belong to Redis. */
function mapStore(): { store: CacheStore; entries: Map<string, string> } {
  const entries = new Map<string, string>();
  const set = async (key: string, value: string, ...flags: readonly unknown[]) => {
    if (flags.includes("NX") && entries.has(key)) return null;
    entries.set(key, value);
    return "OK";
  };
  const store = { get: async (key: string) => entries.get(key) ?? null, set };
  return { store: store as unknown as CacheStore, entries };
}

const acme = { tenant: "acme", epoch: 1 };

test("through() loads once, until drop()", async () => {
  const cache = cacheOver(mapStore().store, () => {});
  const load = vi.fn(async () => 7);
  expect(await cache.through(acme, "count", load)).toEqual({ value: 7, from: "database" });
  expect(await cache.through(acme, "count", load)).toEqual({ value: 7, from: "cache" });
  expect(load).toHaveBeenCalledTimes(1);
  await cache.drop(acme);
  expect(await cache.through(acme, "count", load)).toEqual({ value: 7, from: "database" });
});

test("through() keeps tenants and epochs apart", async () => {
  const { store, entries } = mapStore();
  const cache = cacheOver(store, () => {});
  for (const [index, owner] of [acme, { ...acme, epoch: 2 }, { tenant: "bcme", epoch: 1 }].entries()) {
    expect((await cache.through(owner, "count", async () => index)).value).toBe(index);
  }
  expect([...entries.keys()].every((key) => /^notes:[a-z]+:[12]:/.test(key))).toBe(true);
});

test("through() never gives a value out that was loaded before a drop()", async () => {
  const cache = cacheOver(mapStore().store, () => {});
  const slow = await cache.through(acme, "count", async () => {
    await cache.drop(acme); // A writer commits while this reader still holds what it read before.
    return "old";
  });
  expect(slow.value).toBe("old");
  expect((await cache.through(acme, "count", async () => "new")).value).toBe("new");
});

test("through() and drop() work without Redis", async () => {
  const dead = async () => Promise.reject(new Error("Connection is closed"));
  const cache = cacheOver({ get: dead, set: dead } as unknown as CacheStore, () => {});
  expect(await cache.through(acme, "count", async () => 7)).toEqual({ value: 7, from: "database" });
  await cache.drop(acme);
});

test("through() treats a damaged entry as a miss, and passes on only what load() throws", async () => {
  const { store, entries } = mapStore();
  const cache = cacheOver(store, () => {});
  await cache.through(acme, "count", async () => 7);
  for (const key of entries.keys()) if (key.endsWith(":count")) entries.set(key, "{");
  expect((await cache.through(acme, "count", async () => 8)).value).toBe(8);
  await expect(cache.through(acme, "x", async () => Promise.reject(new Error("database")))).rejects.toThrow("database");
});
