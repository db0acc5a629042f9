import { describe, expect, test } from "vitest";
import type { Store, StoreEvent } from "./port.ts";
import {
  activeTenant,
  applyFleet,
  deleteTenant,
  digest,
  fleetFixture,
  leaderOf,
  nextEvent,
  poolFixture,
  releaseFixture,
  sequenceAll,
  stampFixture,
} from "./test-store.ts";
import { describeDirectory } from "./directory.contract.ts";
import { describeTenants } from "./tenants.contract.ts";

/** What every store must do. `open` answers a new, empty store. */
export function describeStore(name: string, open: () => Promise<Store>): void {
  describe(`Store contract: ${name}`, () => {
    describeLease(open);
    describeTokens(open);
    describeFleet(open);
    describeReleases(open);
    describeStamps(open);
    describeStampParts(open);
    describeTenants(open);
    describeDirectory(open);
    describeRest(open);
  });
}

function describeLease(open: () => Promise<Store>): void {
  test("lease.acquire() gives one holder a token, renews it for the same, and refuses others", async () => {
    await using store = await open();
    const first = await store.lease.acquire("a", 60_000);
    expect(first).toMatchObject({ holder: "a", token: 1 });
    expect(await store.lease.acquire("b", 60_000)).toBeUndefined();
    expect((await store.lease.acquire("a", 60_000))?.token).toBe(1);
    expect(await store.lease.current()).toMatchObject({ holder: "a" });
  });

  test("lease.acquire() after expiry or release raises the token, and the old one writes no more (I28)", async () => {
    await using store = await open();
    const old = await store.lease.acquire("a", -1);
    const next = await store.lease.acquire("b", 60_000);
    expect(next?.token).toBeGreaterThan(old?.token ?? 0);
    await expect(store.lease.renew("a", old?.token ?? 0, 60_000)).rejects.toMatchObject({ code: "STALE_LEADER" });
    const ctx = { actor: "late", token: old?.token ?? 0 };
    const late = { code: "STALE_LEADER" };
    await expect(store.tokens.create({ name: "x", role: "viewer" }, ctx)).rejects.toMatchObject(late);
    await expect(store.directory.sequence(ctx)).rejects.toMatchObject(late);
    const seen = {
      stamp: "s",
      presence: "absent",
      host: "none",
      components: [],
      endpoints: [],
      endpointRevision: 0,
    } as const;
    await expect(store.stamps.observe(seen, ctx)).rejects.toMatchObject(late);
    await store.lease.release("b", next?.token ?? 0);
    expect(await store.lease.current()).toBeUndefined();
    await expect(
      store.tokens.create({ name: "x", role: "viewer" }, { actor: "b", token: next?.token ?? 0 }),
    ).rejects.toMatchObject(late);
    expect((await store.tokens.list()).items).toEqual([]);
  });
}

function describeTokens(open: () => Promise<Store>): void {
  test("tokens.create() shows the secret once; verify() knows it until it is revoked", async () => {
    await using store = await open();
    const ctx = await leaderOf(store);
    const { record, secret } = await store.tokens.create({ name: "ci", role: "operator" }, ctx);
    expect(secret).toMatch(/^sy_operator_[A-Za-z0-9_-]{43}$/);
    expect(JSON.stringify((await store.tokens.list()).items)).not.toContain(secret);
    expect(await store.tokens.verify(secret)).toMatchObject({ id: record.id, role: "operator" });
    expect(await store.tokens.verify(`${secret.slice(0, -1)}${secret.endsWith("A") ? "B" : "A"}`)).toBeUndefined();
    expect(await store.tokens.verify("' OR true --")).toBeUndefined();
    expect((await store.tokens.list()).items[0]?.lastUsedAt).toBeGreaterThan(0);
    await store.tokens.revoke(record.id, ctx);
    await store.tokens.revoke(record.id, ctx);
    expect(await store.tokens.verify(secret)).toBeUndefined();
    await expect(store.tokens.revoke("tok_0", ctx)).rejects.toMatchObject({ code: "NOT_FOUND" });
  });

  test("tokens.create() with replace revokes those of the same name", async () => {
    await using store = await open();
    const ctx = await leaderOf(store);
    const old = await store.tokens.create({ name: "first-admin", role: "admin" }, ctx);
    const next = await store.tokens.create({ name: "first-admin", role: "admin", replace: true }, ctx);
    expect(await store.tokens.verify(old.secret)).toBeUndefined();
    expect(await store.tokens.verify(next.secret)).toBeDefined();
  });
}

function describeFleet(open: () => Promise<Store>): void {
  test("fleet.apply() writes release, fleet and stamps together, or nothing (I26, I30)", async () => {
    await using store = await open();
    const ctx = await leaderOf(store);
    expect(await store.fleet.read()).toBeUndefined();
    await applyFleet(store, ctx, [stampFixture("shared-1"), stampFixture("shared-2")]);
    const fleet = await store.fleet.read();
    expect(fleet).toMatchObject({ revision: 1, value: { release: digest("1.0.0") } });
    expect((await store.stamps.all()).map((stamp) => stamp.value.name)).toEqual(["shared-1", "shared-2"]);
    expect(await store.fleet.release(digest("1.0.0"))).toMatchObject({ version: "1.0.0", createdBy: "tester" });

    const again = applyFleet(store, ctx, [stampFixture("shared-3")], { release: releaseFixture("2.0.0") });
    await expect(again).rejects.toMatchObject({ code: "STALE_REVISION" });
    const twin = applyFleet(store, ctx, [stampFixture("shared-3"), stampFixture("shared-1")], { expectedRevision: 1 });
    await expect(twin).rejects.toMatchObject({ code: "ALREADY_EXISTS" });
    expect(await store.stamps.read("shared-3")).toBeUndefined();
    expect(await store.fleet.release(digest("2.0.0"))).toBeUndefined();
    expect((await store.fleet.read())?.revision).toBe(1);
  });
}

function describeReleases(open: () => Promise<Store>): void {
  test("fleet.apply() changes only what a release decides of a stamp", async () => {
    await using store = await open();
    const ctx = await leaderOf(store);
    await applyFleet(store, ctx, [stampFixture("shared-1", { state: { kind: "requested" } })]);
    const update = {
      name: "shared-1",
      releaseDigest: digest("2.0.0"),
      stampDigest: digest("new"),
      parameters: { size: "large" },
      capacity: { tenants: 20, units: {} },
      secrets: { "db.appPassword": "other", "cache.password": "added" },
    };
    await applyFleet(store, ctx, [], {
      release: releaseFixture("2.0.0"),
      stampUpdates: [update],
      expectedRevision: 1,
    });
    const stamp = await store.stamps.read("shared-1");
    expect(stamp).toMatchObject({ revision: 2, value: { stampDigest: digest("new"), state: { kind: "requested" } } });
    expect(await store.stamps.secrets("shared-1")).toEqual({
      "db.appPassword": "plain-shared-1",
      "cache.password": "added",
    });
    expect((await store.fleet.releases()).items.map((release) => release.version)).toEqual(["2.0.0", "1.0.0"]);
  });

  test("fleet.pools() sums capacity of active stamps and places taken", async () => {
    await using store = await open();
    const ctx = await leaderOf(store);
    const coming = stampFixture("shared-2", { state: { kind: "requested" } });
    await applyFleet(store, ctx, [stampFixture("shared-1"), coming], {
      fleet: fleetFixture([poolFixture("shared"), poolFixture("solo")]),
    });
    await store.tenants.create({ key: "acme", pool: "shared", weight: { tenants: 2, rps: 5 } }, ctx);
    expect(await store.fleet.pools()).toEqual([
      {
        pool: "shared",
        stamps: { active: 1, requested: 1 },
        used: { tenants: 2, units: { rps: 5 } },
        capacity: { tenants: 10, units: {} },
      },
      { pool: "solo", stamps: {}, used: { tenants: 0, units: {} }, capacity: { tenants: 0, units: {} } },
    ]);
  });
}

function describeStamps(open: () => Promise<Store>): void {
  test("stamps.write() refuses a stale revision and a forbidden phase (I30)", async () => {
    await using store = await open();
    const ctx = await leaderOf(store);
    await applyFleet(store, ctx, [stampFixture("shared-1", { state: { kind: "requested" } })]);
    const stamp = stampFixture("shared-1", { state: { kind: "provisioning", attempt: 1 } });
    const written = await store.stamps.write(stamp, 1, {}, ctx);
    expect(written.revision).toBe(2);
    await expect(store.stamps.write(stamp, 1, {}, ctx)).rejects.toMatchObject({ code: "STALE_REVISION" });
    const gone = { ...stamp, state: { kind: "gone" } } as const;
    await expect(store.stamps.write(gone, 2, {}, ctx)).rejects.toMatchObject({ code: "WRONG_PHASE" });
  });

  test("stamps.write() of what is there changes nothing (I27)", async () => {
    await using store = await open();
    const ctx = await leaderOf(store);
    await applyFleet(store, ctx, [stampFixture("shared-1")]);
    const before = (await store.audit.list()).items.length;
    const again = await store.stamps.write(stampFixture("shared-1"), 1, {}, ctx);
    expect(again.revision).toBe(1);
    const noted = await store.stamps.write(stampFixture("shared-1", { waitingOn: "its host" }), 1, {}, ctx);
    expect(noted).toMatchObject({ revision: 2, value: { waitingOn: "its host" } });
    expect((await store.audit.list()).items).toHaveLength(before);
  });

  test("stamps.remove() needs an empty stamp or an audited force (I31)", async () => {
    await using store = await open();
    const ctx = await leaderOf(store);
    await applyFleet(store, ctx, [stampFixture("shared-1")]);
    await store.tenants.create({ key: "acme" }, ctx);
    const gentle = store.stamps.remove("shared-1", { force: false }, ctx);
    await expect(gentle).rejects.toMatchObject({ code: "STAMP_NOT_EMPTY" });
    const removed = await store.stamps.remove("shared-1", { force: true }, { ...ctx, reason: "ordered" });
    expect(removed.value.goal).toBe("absent");
    const [row] = (await store.audit.list({ subject: "stamp/shared-1" })).items;
    expect(row).toMatchObject({ action: "stamp.remove", reason: "ordered", detail: { force: true, tenants: 1 } });
    // Its name stays taken while anybody calls it home, even when it is gone.
    const destroying = await store.stamps.write(
      { ...removed.value, state: { kind: "destroying", attempt: 1 } },
      2,
      {},
      ctx,
    );
    expect(await store.stamps.reservedNames()).toEqual([]);
    await store.stamps.write({ ...destroying.value, state: { kind: "gone" } }, 3, {}, ctx);
    expect(await store.stamps.reservedNames()).toEqual(["shared-1"]);
    const twin = store.stamps.create({ stamp: stampFixture("shared-1"), secrets: {} }, ctx);
    await expect(twin).rejects.toMatchObject({ code: "ALREADY_EXISTS" });
    await deleteTenant(store, ctx, "acme");
    await store.stamps.create({ stamp: stampFixture("shared-1"), secrets: {} }, ctx);
  });
}

function describeStampParts(open: () => Promise<Store>): void {
  test("stamps.observe() keeps the last look, without a revision or an audit row", async () => {
    await using store = await open();
    const ctx = await leaderOf(store);
    await applyFleet(store, ctx, [stampFixture("shared-1"), stampFixture("shared-2")]);
    const before = (await store.audit.list()).items.length;
    const seen = {
      stamp: "shared-1",
      presence: "present",
      host: "up",
      components: [],
      endpoints: [],
      endpointRevision: 3,
    } as const;
    await store.stamps.observe(seen, ctx);
    await store.stamps.observe({ ...seen, host: "down" }, ctx);
    await store.stamps.observe({ ...seen, stamp: "unknown" }, ctx);
    const observed = await store.stamps.observation("shared-1");
    expect(observed?.observation).toEqual({ ...seen, host: "down" });
    expect([...(await store.stamps.observations()).keys()]).toEqual(["shared-1"]);
    expect((await store.stamps.read("shared-1"))?.revision).toBe(1);
    expect((await store.audit.list()).items).toHaveLength(before);
    expect(await store.stamps.due(observed?.at ?? 0)).toEqual(["shared-2"]);
    expect(await store.stamps.due((observed?.at ?? 0) + 1)).toEqual(["shared-2", "shared-1"]);
  });

  test("stamps.rotateRouteKeys() never leaves a stamp without a key that it and routers share (D7)", async () => {
    await using store = await open();
    const ctx = await leaderOf(store);
    await applyFleet(store, ctx, [stampFixture("shared-1"), stampFixture("shared-2")]);
    const kids = async () => (await store.stamps.routeKeys("shared-1")).map(({ kid, state }) => ({ kid, state }));
    const [first] = await store.stamps.routeKeys("shared-1");
    expect(Buffer.from(first?.secret ?? "", "base64url")).toHaveLength(32);
    const rotate = (accepted: readonly (string | undefined)[], dropAfterMs = 0) =>
      store.stamps.rotateRouteKeys("shared-1", ctx, {
        accepted: new Set(accepted.filter((kid) => kid !== undefined)),
        dropAfterMs,
      });
    expect(await rotate([])).toBe("added");
    const [, next] = await kids();
    expect(await kids()).toEqual([
      { kid: first?.kid, state: "current" },
      { kid: next?.kid, state: "next" },
    ]);
    // The stamp does not take it yet: what a router signed with it would be refused.
    await expect(rotate([first?.kid])).rejects.toMatchObject({ code: "WRONG_PHASE" });
    expect(await rotate([first?.kid, next?.kid])).toBe("promoted");
    expect(await kids()).toEqual([
      { kid: next?.kid, state: "current" },
      { kid: first?.kid, state: "old" },
    ]);
    // A router may still sign with it, and what it signed is still on the way.
    const early = rotate([first?.kid, next?.kid], 60_000);
    await expect(early).rejects.toMatchObject({ code: "WRONG_PHASE", mend: expect.stringMatching(/ (?:59|60) s/) });
    expect(await kids()).toHaveLength(2);
    expect(await rotate([])).toBe("dropped");
    expect(await kids()).toEqual([{ kid: next?.kid, state: "current" }]);
    expect([...(await store.stamps.allRouteKeys()).keys()]).toEqual(["shared-1", "shared-2"]);
  });

  test("stamps.list() pages by name and filters", async () => {
    await using store = await open();
    const ctx = await leaderOf(store);
    await applyFleet(
      store,
      ctx,
      ["a", "b", "c"].map((name) => stampFixture(name, name === "b" ? { pool: "solo" } : {})),
    );
    const first = await store.stamps.list({ limit: 2 });
    expect(first.items.map((stamp) => stamp.value.name)).toEqual(["a", "b"]);
    const second = await store.stamps.list({ limit: 2, cursor: first.nextCursor ?? "" });
    expect(second.items.map((stamp) => stamp.value.name)).toEqual(["c"]);
    expect(second.nextCursor).toBeUndefined();
    expect((await store.stamps.list({ pool: "solo" })).items).toHaveLength(1);
    await expect(store.stamps.list({ limit: 0 })).rejects.toMatchObject({ code: "INVALID_REQUEST" });
  });
}

function describeRest(open: () => Promise<Store>): void {
  test("audit rows: one per mutation, numbered and chained by the sequencer (I39)", async () => {
    await using store = await open();
    const ctx = await leaderOf(store);
    await applyFleet(store, ctx, [stampFixture("shared-1")]);
    await activeTenant(store, ctx, "acme");
    await store.tenants.addHostname("acme", "notes.acme.com", {}, ctx);
    await store.tenants.addHostname("acme", "notes.acme.com", {}, ctx);
    const unnumbered = await store.audit.list();
    expect(unnumbered.items.every((row) => row.number === undefined)).toBe(true);
    await sequenceAll(store, ctx);
    const { items } = await store.audit.list();
    expect(items.map((row) => row.action)).toEqual([
      "lease.acquire",
      "fleet.apply",
      "tenant.create",
      "tenant.active",
      "tenant.hostname-added",
    ]);
    expect(items.map((row) => row.number)).toEqual([1, 2, 3, 4, 5]);
    expect(await store.audit.verify()).toEqual({ ok: true, rows: 5 });
    const page = await store.audit.list({ after: 1, limit: 2 });
    expect(page.items.map((row) => row.number)).toEqual([2, 3]);
    expect((await store.audit.list({ cursor: page.nextCursor ?? "" })).items.map((row) => row.number)).toEqual([4, 5]);
  });

  test("idempotency: one request, one effect; the answer comes again, another request is refused", async () => {
    await using store = await open();
    const key = { principal: "tok_1", key: "k1", requestId: "r1", requestHash: "h1" };
    expect(await store.idempotency.begin(key)).toEqual({ kind: "new" });
    expect(await store.idempotency.begin(key)).toEqual({ kind: "running" });
    await store.idempotency.done(key, { status: 201, body: { key: "acme" } });
    expect(await store.idempotency.begin(key)).toEqual({ kind: "replay", status: 201, body: { key: "acme" } });
    const other = store.idempotency.begin({ ...key, requestHash: "h2" });
    await expect(other).rejects.toMatchObject({ code: "IDEMPOTENCY_MISMATCH" });
    expect(await store.idempotency.begin({ ...key, principal: "tok_2" })).toEqual({ kind: "new" });
    await store.idempotency.abandon({ ...key, principal: "tok_2" });
    expect(await store.idempotency.begin({ ...key, principal: "tok_2" })).toEqual({ kind: "new" });
  });

  test("watch() tells of what was committed, and of nothing that was rolled back", async () => {
    await using store = await open();
    const ctx = await leaderOf(store);
    await applyFleet(store, ctx, [stampFixture("shared-1", { capacity: { tenants: 1, units: {} } })]);
    const events: StoreEvent[] = [];
    store.watch((event) => events.push(event));
    await activeTenant(store, ctx, "acme");
    await expect(store.tenants.create({ key: "beta" }, ctx)).rejects.toMatchObject({ code: "POOL_FULL" });
    const told = events.filter((event) => event.kind === "tenant").map((event) => `${event.tenant} ${event.phase}`);
    expect(told).toEqual(["acme preparing", "acme active"]);
    const directory = nextEvent(store, (event) => event.kind === "directory");
    await sequenceAll(store, ctx);
    expect(await directory).toMatchObject({ head: await store.directory.head().then(({ version }) => ({ version })) });
  });
}
