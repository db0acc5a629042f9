import { EventEmitter } from "node:events";
import { afterEach, expect, test, vi } from "vitest";
import { createPostgresOwnership, type OwnershipPool, type PostgresOwnership } from "./postgres-ownership.ts";

/** A database of one table, whose reads finish when they are told to. */
class FakePool implements OwnershipPool {
  readonly rows = new Map<string, { state: string; epoch: string }>();
  readonly listeners: (EventEmitter & { released: boolean })[] = [];
  reads = 0;
  connectable = true;
  held: (() => void)[] | undefined;

  async query(text: string, values: string[]) {
    expect(text).toContain("stampyard.tenant_home where tenant = $1");
    this.reads += 1;
    const row = this.rows.get(values[0] ?? "");
    if (this.held !== undefined) await new Promise<void>((resolve) => this.held?.push(resolve));
    return { rows: row === undefined ? [] : [row] };
  }

  async connect() {
    if (!this.connectable) throw new Error("no connection");
    const client = Object.assign(new EventEmitter(), {
      released: false,
      query: async (text: string) => expect(text).toBe("listen stampyard_tenant_home"),
      release() {
        client.released = true;
      },
    });
    this.listeners.push(client);
    return client;
  }

  notify(tenant: string) {
    for (const client of this.listeners) {
      if (!client.released) client.emit("notification", { channel: "stampyard_tenant_home", payload: tenant });
    }
  }
}

const opened: PostgresOwnership[] = [];
afterEach(async () => {
  for (const ownership of opened.splice(0)) await ownership.close();
});

async function open(pool: FakePool, options: { maxTenants?: number; listen?: boolean } = {}) {
  const clock = { ms: 0 };
  const ownership = createPostgresOwnership(pool, { now: () => clock.ms, relistenMs: 5, ...options });
  opened.push(ownership);
  if (options.listen !== false) await vi.waitFor(() => expect(ownership.listening()).toBe(true));
  const ask = (tenant: string, fresh = false) => ownership.home(tenant, { fresh, claimedEpoch: 1 });
  return { ownership, clock, ask };
}

test("home() keeps an answer for at most a second, a missing tenant too", async () => {
  const pool = new FakePool();
  pool.rows.set("acme", { state: "active", epoch: "7" });
  const { clock, ask } = await open(pool);
  expect(await ask("acme")).toEqual({ state: "active", epoch: 7 });
  expect(await ask("nobody")).toBeUndefined();
  clock.ms = 999;
  await Promise.all([ask("acme"), ask("nobody")]);
  expect(pool.reads).toBe(2);
  clock.ms = 1_000;
  await Promise.all([ask("acme"), ask("nobody")]);
  expect(pool.reads).toBe(4);
});

test("home() hears of a change at once", async () => {
  const pool = new FakePool();
  pool.rows.set("acme", { state: "active", epoch: "7" });
  const { ask } = await open(pool);
  await ask("acme");
  pool.rows.set("acme", { state: "moved", epoch: "8" });
  expect((await ask("acme"))?.epoch).toBe(7);
  pool.notify("acme");
  expect(await ask("acme")).toEqual({ state: "moved", epoch: 8 });
});

test("home() does not keep an answer that a notification overtook", async () => {
  const pool = new FakePool();
  pool.rows.set("acme", { state: "active", epoch: "7" });
  const { ask } = await open(pool);
  pool.held = [];
  const early = ask("acme");
  await vi.waitFor(() => expect(pool.held).toHaveLength(1));
  pool.rows.set("acme", { state: "moved", epoch: "8" });
  pool.notify("acme");
  for (const release of pool.held) release();
  pool.held = undefined;
  expect((await early)?.epoch).toBe(7);
  expect((await ask("acme"))?.epoch).toBe(8);
});

test("home() answers a fresh question by a read that began after it, shared by all who wait", async () => {
  const pool = new FakePool();
  pool.rows.set("acme", { state: "active", epoch: "7" });
  const { ask } = await open(pool);
  pool.held = [];
  const early = ask("acme");
  await vi.waitFor(() => expect(pool.held).toHaveLength(1));
  pool.rows.set("acme", { state: "active", epoch: "8" });
  const fresh = [ask("acme", true), ask("acme", true), ask("acme", true)];
  const [release] = pool.held;
  pool.held = undefined;
  release?.();
  expect((await early)?.epoch).toBe(7);
  expect((await Promise.all(fresh)).map((home) => home?.epoch)).toEqual([8, 8, 8]);
  expect(pool.reads).toBe(2);
});

test("home() trusts answers for 100 ms only while nobody listens, and listens again", async () => {
  const pool = new FakePool();
  pool.rows.set("acme", { state: "active", epoch: "7" });
  const { ownership, clock, ask } = await open(pool);
  await ask("acme");
  pool.connectable = false;
  pool.listeners[0]?.emit("error", new Error("connection lost"));
  expect(ownership.listening()).toBe(false);
  expect(pool.listeners[0]?.released).toBe(true);
  clock.ms = 100;
  await ask("acme");
  expect(pool.reads).toBe(2);

  pool.connectable = true;
  await vi.waitFor(() => expect(ownership.listening()).toBe(true));
  await ask("acme");
  expect(pool.reads, "what was known before the gap is forgotten").toBe(3);
});

test("home() rejects when the row cannot be read, and asks again next time", async () => {
  const pool = new FakePool();
  pool.rows.set("acme", { state: "asleep", epoch: "7" });
  const { ask } = await open(pool);
  await expect(ask("acme")).rejects.toThrow(RangeError);
  pool.rows.set("acme", { state: "active", epoch: "7" });
  expect((await ask("acme"))?.state).toBe("active");
});

test("home() keeps a bounded number of answers", async () => {
  const pool = new FakePool();
  const { ask } = await open(pool, { maxTenants: 2 });
  for (const tenant of ["a", "b", "c"]) await ask(tenant);
  await ask("c");
  await ask("b");
  expect(pool.reads).toBe(3);
  await ask("a");
  expect(pool.reads).toBe(4);
});

test("close() gives the connection back and listens no more", async () => {
  const pool = new FakePool();
  const { ownership } = await open(pool);
  await ownership.close();
  expect(ownership.listening()).toBe(false);
  expect(pool.listeners.map((client) => client.released)).toEqual([true]);
});

test("home() keeps a fence for 100 ms only: nothing is announced when its deadline passes (I41)", async () => {
  const pool = new FakePool();
  pool.rows.set("acme", { state: "fenced", epoch: "7" });
  const { clock, ask } = await open(pool);
  expect(await ask("acme")).toMatchObject({ state: "fenced" });
  pool.rows.set("acme", { state: "active", epoch: "7" });
  clock.ms = 99;
  expect(await ask("acme")).toMatchObject({ state: "fenced" });
  clock.ms = 100;
  expect(await ask("acme")).toMatchObject({ state: "active" });
});
