import { createHash } from "node:crypto";
import {
  acceptFeed,
  chainStart,
  createDirectory,
  createFrameDecoder,
  type DirectoryChange,
  type FeedMessage,
  feedStart,
  newFeedState,
} from "@stampyard/directory";
import { createManualClock } from "@stampyard/testing";
import { afterEach, expect, test } from "vitest";
import type { ServerDeps } from "./deps.ts";
import { type FeedReader, openFeed } from "./feed.ts";
import { createDirectoryStore } from "./test-directory-store.ts";

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest();
const reader: FeedReader = {
  router: "r1",
  peer: "127.0.0.1",
  admin: undefined,
  actor: { id: "tok_r", name: "r", role: "router" },
  requestId: "request-1",
};

const stampPut = (stamp: string, port = 1): DirectoryChange => ({
  kind: "stamp-put",
  stamp,
  pool: "shared",
  region: "eu",
  endpoints: [{ host: "127.0.0.1", port }],
  endpointRevision: port,
});
const tenantPut = (tenant: string, stamp: string, epoch = 1): DirectoryChange => ({
  kind: "tenant-put",
  tenant,
  stamp,
  epoch,
  hostnames: [],
});

const open: AbortController[] = [];
afterEach(() => {
  for (const controller of open.splice(0)) controller.abort();
});

/** A router at the other end: reads frames one by one and applies them as the real one does. */
async function connect(world: ReturnType<typeof createDirectoryStore>, from = feedStart, leader = true) {
  const clock = createManualClock();
  const ending = new AbortController();
  open.push(ending);
  let cuts = 0;
  const deps = { store: world.store, clock, leadership: () => (leader ? 7 : undefined) } as unknown as ServerDeps;
  const bytes = await openFeed(deps, reader, from, { signal: ending.signal, cut: () => cuts++ });
  const iterator = bytes[Symbol.asyncIterator]();
  const decoder = createFrameDecoder();
  const waiting: FeedMessage[] = [];
  let state = newFeedState(from);
  let directory = createDirectory();
  const effects: string[] = [];

  async function next(): Promise<FeedMessage | undefined> {
    while (waiting.length === 0) {
      const { done, value } = await iterator.next();
      if (done) return undefined;
      for (const event of decoder.push(value)) {
        if (event.kind === "corrupt") throw new Error(event.reason);
        waiting.push(event.message);
      }
    }
    const message = waiting.shift() as FeedMessage;
    const step = acceptFeed(state, message, directory, sha256);
    state = step.next;
    for (const effect of step.effects) {
      if (effect.kind === "apply") directory.apply(effect.change);
      if (effect.kind === "replace") directory = effect.directory;
      effects.push(effect.kind);
    }
    return message;
  }
  return {
    clock,
    next,
    effects,
    iterator,
    cuts: () => cuts,
    position: () => state.position,
    directory: () => directory,
    end: () => ending.abort(),
    async until(kind: FeedMessage["kind"]): Promise<readonly string[]> {
      const kinds: string[] = [];
      for (;;) {
        const message = await next();
        if (message === undefined) throw new Error(`The feed ended after ${kinds.join()}`);
        kinds.push(message.kind);
        if (message.kind === kind) return kinds;
      }
    },
  };
}

test("openFeed() gives a new router hello, keys, a snapshot, and then each change as it is committed", async () => {
  const world = createDirectoryStore();
  world.setKeys("shared-1", "k1");
  world.commit(stampPut("shared-1"), tenantPut("acme", "shared-1"));
  const router = await connect(world);
  expect(await router.until("snapshot-end")).toEqual([
    "hello",
    "keys",
    "snapshot-begin",
    "snapshot-part",
    "snapshot-end",
  ]);
  expect(router.position()).toEqual(world.head());

  const delta = router.until("delta");
  world.commit(tenantPut("bolt", "shared-1"));
  await delta;
  expect(router.directory().lookupTenant("bolt")?.stamp).toBe("shared-1");
  expect(router.effects).toEqual(["keys", "replace", "apply"]);
  expect(world.seen).toEqual([{ name: "r1", address: "127.0.0.1" }]);
});

test("openFeed() resumes after the position that a router has, and sends nothing twice", async () => {
  const world = createDirectoryStore();
  for (let n = 0; n < 1_200; n++) world.commit(tenantPut(`t${n}`, "shared-1"));
  const first = await connect(world);
  await first.until("snapshot-end");
  const held = first.position();
  first.end();
  for (let n = 1_200; n < 2_500; n++) world.commit(tenantPut(`t${n}`, "shared-1"));

  const again = await connect(world, held);
  for (let n = 0; n < 1_300; n++) await again.until("delta");
  expect(again.position()).toEqual(world.head());
  expect(new Set(again.effects)).toEqual(new Set(["apply"]));
});

test("openFeed() sends a large snapshot in parts that fit frames, and gives back what it held", async () => {
  const world = createDirectoryStore();
  for (let n = 0; n < 3_000; n++) world.commit(tenantPut(`t${n}`, "shared-1"));
  const router = await connect(world);
  const kinds = await router.until("snapshot-end");
  expect(kinds.filter((kind) => kind === "snapshot-part").length).toBe(6);
  expect(router.directory().counts().tenants).toBe(3_000);
  const beat = router.until("heartbeat");
  await expect.poll(() => router.clock.sleepers()).toBeGreaterThan(0);
  await router.clock.advance(5_000);
  await beat;
  expect(world.world.open).toBe(0);
});

test("openFeed() of an empty directory waits for its first version", async () => {
  const world = createDirectoryStore();
  const router = await connect(world);
  await router.until("hello");
  const beat = router.next();
  await expect.poll(() => router.clock.sleepers()).toBeGreaterThan(0);
  await router.clock.advance(5_000);
  expect(await beat).toMatchObject({ kind: "heartbeat", version: 0, chain: chainStart });
  const first = router.until("snapshot-end");
  world.commit(tenantPut("acme", "shared-1"));
  await first;
  expect(router.position()).toEqual(world.head());
});

test("openFeed() gives a router that slept through a recovery a snapshot instead of a refusal", async () => {
  const world = createDirectoryStore();
  world.world.incarnation = 2;
  world.commit(tenantPut("acme", "shared-1"));
  const router = await connect(world, { incarnation: 1, version: 40, chain: "f".repeat(64) });
  await router.until("snapshot-end");
  expect(router.position()).toEqual(world.head());
  expect(world.world.entered).toEqual([]);
});

test("openFeed() beats every 5 s, at the position it has sent", async () => {
  const world = createDirectoryStore();
  world.commit(tenantPut("acme", "shared-1"));
  const router = await connect(world);
  await router.until("snapshot-end");
  for (let beat = 0; beat < 3; beat++) {
    const next = router.next();
    await expect.poll(() => router.clock.sleepers()).toBeGreaterThan(0);
    await router.clock.advance(4_999);
    await router.clock.advance(1);
    expect(await next).toEqual({ kind: "heartbeat", ...world.head() });
  }
  expect(world.seen.length).toBe(4);
});

test("openFeed() refuses a position that is not of our history, and a leader begins to recover (I42)", async () => {
  const world = createDirectoryStore();
  world.commit(tenantPut("acme", "shared-1"));
  const ahead = { ...world.head(), version: 9 };
  await expect(connect(world, ahead)).rejects.toMatchObject({ code: "DIVERGED" });
  const fork = { ...world.head(), chain: "f".repeat(64) };
  await expect(connect(world, fork, false)).rejects.toMatchObject({ code: "DIVERGED" });
  expect(world.world.entered.length).toBe(1);
  expect(world.world.entered[0]).toContain("version 9");
});

test("openFeed() says only `recovering` while it recovers, and ends when that ends (I42)", async () => {
  const world = createDirectoryStore();
  world.setKeys("shared-1", "k1");
  world.commit(stampPut("shared-1"));
  world.setMode("recovering");
  const router = await connect(world, { incarnation: 5, version: 99, chain: "f".repeat(64) });
  expect(await router.next()).toMatchObject({ kind: "hello", mode: "recovering" });
  expect(router.effects).toEqual(["report"]);
  const next = router.next();
  await expect.poll(() => router.clock.sleepers()).toBeGreaterThan(0);
  world.commit(tenantPut("acme", "shared-1"));
  await router.clock.advance(5_000);
  expect((await next)?.kind).toBe("heartbeat");
  const end = router.next();
  world.setMode("normal");
  expect(await end).toBeUndefined();
  expect(world.listeners.size).toBe(0);
});

test("openFeed() stays when it is told again of the mode that it is in", async () => {
  const world = createDirectoryStore();
  const router = await connect(world);
  await router.until("hello");
  const next = router.next();
  await expect.poll(() => router.clock.sleepers()).toBeGreaterThan(0);
  world.tell({ kind: "mode", mode: "normal" });
  await router.clock.advance(5_000);
  expect((await next)?.kind).toBe("heartbeat");
});

test("openFeed() sends keys when they change, before the stamp that needs them, and not again", async () => {
  const world = createDirectoryStore();
  world.commit(tenantPut("acme", "shared-9"));
  const router = await connect(world);
  await router.until("snapshot-end");
  world.setKeys("shared-1", "k1");
  expect((await router.next())?.kind).toBe("keys");
  world.setKeys("shared-1", "k1");
  world.setKeys("shared-1", "k2", "k1");
  expect(await router.next()).toMatchObject({ kind: "keys", keys: [{ kid: "k2" }, { kid: "k1" }] });
  world.commit(stampPut("shared-1"));
  expect((await router.next())?.kind).toBe("delta");
});

test("openFeed() marks a snapshot as confirmed only for a router that is behind the confirmed change", async () => {
  const world = createDirectoryStore();
  for (let n = 0; n < 10; n++) world.commit(tenantPut(`t${n}`, "shared-1"));
  world.world.confirmedVersion = 5;
  world.world.forgotten = 9;
  const marks: boolean[] = [];
  for (const version of [3, 7]) {
    const row = world.rows[version - 1];
    const router = await connect(world, { incarnation: 1, version, chain: row?.chain ?? "" });
    let message = await router.next();
    while (message?.kind !== "snapshot-begin") message = await router.next();
    marks.push(message.shrinkConfirmed);
  }
  expect(marks).toEqual([true, false]);
});

test("openFeed() cuts a router that takes nothing, and holds nothing for it (I13)", async () => {
  const world = createDirectoryStore();
  for (let n = 0; n < 3_000; n++) world.commit(tenantPut(`t${n}`, "shared-1"));
  const router = await connect(world);
  await router.until("snapshot-part");
  expect(world.world.open).toBe(1);
  await router.clock.advance(29_999);
  expect(router.cuts()).toBe(0);
  await router.clock.advance(1);
  expect(router.cuts()).toBe(1);
  // What the broken connection does.
  await router.iterator.return?.();
  expect([world.world.open, world.listeners.size, router.clock.sleepers()]).toEqual([0, 0, 0]);
});

test("openFeed() ends at once when its router goes away while nothing happens", async () => {
  const world = createDirectoryStore();
  const router = await connect(world);
  await router.until("hello");
  const next = router.next();
  await expect.poll(() => router.clock.sleepers()).toBeGreaterThan(0);
  router.end();
  expect(await next).toBeUndefined();
  expect(world.listeners.size).toBe(0);
});

test("openFeed() passes holds and releases on, each behind the changes that were committed before it (D13)", async () => {
  const world = createDirectoryStore();
  world.commit(stampPut("shared-1"), tenantPut("acme", "shared-1", 4));
  const router = await connect(world);
  await router.until("snapshot-end");
  const first = router.next();
  await expect.poll(() => router.clock.sleepers()).toBeGreaterThan(0);
  // The epoch of a home that the hold is not about must not end it.
  world.tell({ kind: "hold", tenant: "acme", moveId: "m1", ttlMs: 500 });
  world.commit(tenantPut("acme", "shared-1", 5));
  world.tell({ kind: "hold", tenant: "bolt", moveId: "m2", ttlMs: 0 });
  world.tell({ kind: "release", tenant: "acme", moveId: "m1" });
  expect(await first).toMatchObject({ kind: "delta", version: 3 });
  expect(await router.next()).toEqual({ kind: "hold", tenant: "acme", moveId: "m1", ttlMs: 500 });
  expect(await router.next()).toEqual({ kind: "release", tenant: "acme", moveId: "m1" });
  expect(router.effects).toEqual(["keys", "replace", "apply", "hold", "release"].filter((kind) => kind !== "keys"));
});

test("openFeed() tells nobody of a hold that is over, and remembers a bounded number (I13)", async () => {
  const world = createDirectoryStore();
  world.commit(stampPut("shared-1"), tenantPut("acme", "shared-1", 4));
  const router = await connect(world);
  await router.until("snapshot-part");
  world.tell({ kind: "hold", tenant: "acme", moveId: "gone", ttlMs: 50 });
  for (let n = 0; n < 2_000; n++) world.tell({ kind: "release", tenant: "acme", moveId: `m${n}` });
  world.tell({ kind: "hold", tenant: "acme", moveId: "over", ttlMs: 50 });
  await router.clock.advance(50);
  world.tell({ kind: "hold", tenant: "acme", moveId: "last", ttlMs: 50 });
  await router.until("snapshot-end");
  const kinds = await router.until("hold");
  expect(kinds.filter((kind) => kind === "release")).toHaveLength(998);
});
