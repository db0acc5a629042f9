import { expect, test } from "vitest";
import type { Store } from "./port.ts";
import {
  activeTenant,
  applyFleet,
  deleteTenant,
  fleetFixture,
  leaderOf,
  poolFixture,
  publish,
  putOf,
  readSnapshot,
  sequenceAll,
  stampFixture,
} from "./test-store.ts";

const places = (tenants: number) => ({ capacity: { tenants, units: {} } });

export function describeTenants(open: () => Promise<Store>): void {
  describeCreation(open);
  describePlacementRules(open);
  describeLife(open);
  describeHistory(open);
  describeImport(open);
}

function describeCreation(open: () => Promise<Store>): void {
  test("tenants.create() reserves the least-used place, and says when there is none (I32)", async () => {
    await using store = await open();
    const ctx = await leaderOf(store);
    await applyFleet(store, ctx, [stampFixture("shared-1", places(2)), stampFixture("shared-2", places(1))]);
    const homes: (string | undefined)[] = [];
    for (const key of ["a", "b", "c"]) homes.push((await store.tenants.create({ key }, ctx)).value.stamp);
    // Where more room is left afterwards; among equals the first name.
    expect(homes).toEqual(["shared-1", "shared-1", "shared-2"]);
    const full = store.tenants.create({ key: "d" }, ctx);
    await expect(full).rejects.toMatchObject({ code: "POOL_FULL" });
    expect(await store.tenants.read("d")).toBeUndefined();
    expect(await store.stamps.used()).toEqual(
      new Map([
        ["shared-1", { tenants: 2, units: {} }],
        ["shared-2", { tenants: 1, units: {} }],
      ]),
    );
  });

  test("tenants.create() waits while a stamp is being built, and place() takes the place when it is there", async () => {
    await using store = await open();
    const ctx = await leaderOf(store);
    await applyFleet(store, ctx, [stampFixture("shared-1", { state: { kind: "verifying", attempt: 1 } })]);
    const waiting = await store.tenants.create({ key: "acme" }, ctx);
    expect(waiting.value).toMatchObject({ state: { kind: "placing" }, epoch: 0 });
    expect(waiting.value.waitingOn).toContain("shared-1");
    expect((await store.tenants.place("acme", ctx)).revision).toBe(waiting.revision);
    await store.stamps.write(stampFixture("shared-1"), 1, {}, ctx);
    const placed = await store.tenants.place("acme", ctx);
    expect(placed.value).toMatchObject({ state: { kind: "preparing" }, stamp: "shared-1", epoch: 1 });
    expect(placed.value.waitingOn).toBeUndefined();
    expect((await store.tenants.place("acme", ctx)).revision).toBe(placed.revision);
    const vacated = await store.tenants.vacate("acme", placed.revision, ctx);
    expect(vacated.value).toMatchObject({ state: { kind: "placing" }, epoch: 2 });
    expect(vacated.value.stamp).toBeUndefined();
    expect((await store.tenants.place("acme", ctx)).value.epoch).toBe(3);
  });
}

function describePlacementRules(open: () => Promise<Store>): void {
  test("tenants.create() checks names, pool, stamp, residency and units", async () => {
    await using store = await open();
    const ctx = await leaderOf(store);
    const small = stampFixture("shared-1", { capacity: { tenants: 5, units: { gib: 10 } } });
    const away = stampFixture("solo-1", { pool: "solo", region: "fra", ...places(9) });
    await applyFleet(store, ctx, [small, away], {
      fleet: fleetFixture([poolFixture("shared"), poolFixture("more"), poolFixture("solo", "dedicated")]),
    });
    const code = async (input: Parameters<Store["tenants"]["create"]>[0]) =>
      store.tenants.create(input, ctx).then(
        (tenant) => tenant.value.stamp,
        (error: { code: string }) => error.code,
      );
    expect(await code({ key: "Acme; DROP TABLE tenants" })).toBe("INVALID_NAME");
    expect(await code({ key: "acme", pool: "../etc" })).toBe("INVALID_NAME");
    expect(await code({ key: "acme", hostnames: ["not a host"] })).toBe("INVALID_NAME");
    expect(await code({ key: "acme", weight: { tenants: Number.NaN } })).toBe("INVALID_REQUEST");
    expect(await code({ key: "acme", tier: "a\0b", pool: "shared" })).toBe("INVALID_REQUEST");
    expect(await code({ key: "acme" })).toBe("INVALID_REQUEST");
    expect(await code({ key: "acme", pool: "none" })).toBe("POOL_NOT_FOUND");
    expect(await code({ key: "acme", stamp: "none" })).toBe("STAMP_NOT_FOUND");
    expect(await code({ key: "acme", stamp: "solo-1", pool: "shared" })).toBe("INVALID_REQUEST");
    expect(await code({ key: "acme", pool: "shared", residency: ["fra"] })).toBe("POOL_FULL");
    expect(await code({ key: "acme", pool: "shared", weight: { gib: 11 } })).toBe("POOL_FULL");
    expect(await code({ key: "acme", pool: "shared", weight: { gib: 6 } })).toBe("shared-1");
    expect(await code({ key: "beta", pool: "shared", weight: { gib: 6 } })).toBe("POOL_FULL");
    expect(await code({ key: "acme", pool: "shared" })).toBe("ALREADY_EXISTS");
    // A dedicated stamp has one tenant, whatever its template could hold.
    expect(await code({ key: "big", stamp: "solo-1" })).toBe("solo-1");
    expect(await code({ key: "big2", pool: "solo" })).toBe("POOL_FULL");
  });

  test("tenants.create() never places on a stamp that is to be removed", async () => {
    await using store = await open();
    const ctx = await leaderOf(store);
    await applyFleet(store, ctx, [stampFixture("shared-1"), stampFixture("shared-2")]);
    await store.stamps.remove("shared-1", { force: false }, ctx);
    expect((await store.tenants.create({ key: "acme" }, ctx)).value.stamp).toBe("shared-2");
    const explicit = store.tenants.create({ key: "beta", stamp: "shared-1" }, ctx);
    await expect(explicit).rejects.toMatchObject({ code: "POOL_FULL" });
  });

  test("tenants.create() passes over a stamp whose data was last seen missing, and waits for it if it must", async () => {
    await using store = await open();
    const ctx = await leaderOf(store);
    await applyFleet(store, ctx, [stampFixture("shared-1", places(5)), stampFixture("shared-2", places(1))]);
    const lost = { presence: "absent", host: "none", components: [], endpoints: [], endpointRevision: 0 } as const;
    await store.stamps.observe({ stamp: "shared-1", ...lost }, ctx);
    expect((await store.tenants.create({ key: "acme" }, ctx)).value.stamp).toBe("shared-2");
    const waiting = (await store.tenants.create({ key: "beta" }, ctx)).value;
    expect(waiting).toMatchObject({ state: { kind: "placing" }, waitingOn: expect.stringContaining("nothing of it") });
    await store.stamps.observe({ stamp: "shared-1", ...lost, presence: "present", host: "up" }, ctx);
    expect((await store.tenants.place("beta", ctx)).value.stamp).toBe("shared-1");
  });
}

function describeLife(open: () => Promise<Store>): void {
  test("tenants.write() publishes only an active tenant with its own home and epoch (I45)", async () => {
    await using store = await open();
    const ctx = await leaderOf(store);
    await applyFleet(store, ctx, [stampFixture("shared-1"), stampFixture("shared-2")]);
    const { value: tenant, revision } = await store.tenants.create({ key: "acme" }, ctx);
    const active = { ...tenant, state: { kind: "active" } } as const;
    const write = (value: typeof tenant, changes: ReturnType<typeof putOf>[]) =>
      store.tenants.write(value, revision, { changes }, ctx);
    await expect(write(tenant, [putOf(tenant)])).rejects.toMatchObject({ code: "INVALID_REQUEST" });
    const wrong = [
      { ...putOf(active), stamp: "shared-2" },
      { ...putOf(active), epoch: 2 },
      { ...putOf(active), tenant: "beta" },
      { ...putOf(active), hostnames: ["stolen.example.com"] },
    ];
    for (const change of wrong)
      await expect(write(active, [change])).rejects.toMatchObject({ code: "INVALID_REQUEST" });
    const elsewhere = write({ ...active, stamp: "shared-2" }, []);
    await expect(elsewhere).rejects.toMatchObject({ code: "INVALID_REQUEST" });
    await write(active, [putOf(active)]);
    await expect(write(active, [])).rejects.toMatchObject({ code: "STALE_REVISION" });
    expect((await store.directory.head()).pending).toBe(2);
  });

  test("hostnames have one holder, who is named; an active tenant's change reaches the directory", async () => {
    await using store = await open();
    const ctx = await leaderOf(store);
    await applyFleet(store, ctx, [stampFixture("shared-1")]);
    await activeTenant(store, ctx, "acme");
    await store.tenants.create({ key: "beta", hostnames: ["beta.example.com"] }, ctx);
    const taken = { code: "HOSTNAME_TAKEN", message: expect.stringContaining("tenant beta") };
    await expect(store.tenants.addHostname("acme", "beta.example.com", {}, ctx)).rejects.toMatchObject(taken);
    const twin = store.tenants.create({ key: "gamma", hostnames: ["ok.example.com", "beta.example.com"] }, ctx);
    await expect(twin).rejects.toMatchObject(taken);
    expect(await store.tenants.read("gamma")).toBeUndefined();
    const added = await store.tenants.addHostname("acme", "notes.acme.com", {}, ctx);
    expect(added.value.hostnames).toEqual(["notes.acme.com"]);
    await store.tenants.removeHostname("beta", "beta.example.com", {}, ctx);
    await sequenceAll(store, ctx);
    const { changes } = await readSnapshot(store);
    expect(changes).toContainEqual({
      kind: "tenant-put",
      tenant: "acme",
      stamp: "shared-1",
      epoch: 1,
      hostnames: ["notes.acme.com"],
    });
    await store.tenants.addHostname("acme", "api-key:ak_4f2c", {}, ctx);
    const copied = store.tenants.create({ key: "delta", hostnames: ["api-key:ak_4f2c"] }, ctx);
    await expect(copied).rejects.toMatchObject({ code: "HOSTNAME_TAKEN" });
    await expect(store.tenants.addHostname("acme", "api-key:", {}, ctx)).rejects.toMatchObject({
      code: "INVALID_NAME",
    });
    await sequenceAll(store, ctx);
    const now = (await readSnapshot(store)).changes;
    expect(now).toContainEqual(
      expect.objectContaining({ tenant: "acme", hostnames: ["notes.acme.com"], aliases: ["api-key:ak_4f2c"] }),
    );
    const stale = store.tenants.addHostname("acme", "x.acme.com", { revision: 1 }, ctx);
    await expect(stale).rejects.toMatchObject({ code: "STALE_REVISION" });
  });
}

function describeHistory(open: () => Promise<Store>): void {
  test("a key used again continues above its old epoch, and keeps its history (I2)", async () => {
    await using store = await open();
    const ctx = await leaderOf(store);
    await applyFleet(store, ctx, [stampFixture("shared-1")]);
    await activeTenant(store, ctx, "acme");
    await deleteTenant(store, ctx, "acme");
    expect(await store.tenants.read("acme")).toBeUndefined();
    const again = await activeTenant(store, ctx, "acme");
    expect(again.value.epoch).toBe(2);
    await deleteTenant(store, ctx, "acme");
    const [last] = (await store.tenants.import([{ key: "acme" }], ctx)).create;
    expect(last).toBe("acme");
    expect((await store.tenants.read("acme"))?.value.epoch).toBe(3);
    const { items } = await store.tenants.history("acme");
    const life = ["created", "placed", "phase", "delete-requested", "phase", "gone"];
    expect(items.map((event) => event.event)).toEqual([...life, ...life, "created", "placed"]);
    const page = await store.tenants.history("acme", { limit: 6 });
    expect((await store.tenants.history("acme", { cursor: page.nextCursor ?? "" })).items).toHaveLength(8);
    await sequenceAll(store, ctx);
    expect((await readSnapshot(store)).changes.map((change) => change.kind)).toEqual(["routing-put"]);
  });

  test("tenants.where() answers for any time", async () => {
    await using store = await open();
    const ctx = await leaderOf(store);
    await applyFleet(store, ctx, [stampFixture("shared-1")]);
    await activeTenant(store, ctx, "acme");
    await store.tenants.addHostname("acme", "notes.acme.com", {}, ctx);
    await deleteTenant(store, ctx, "acme");
    const { items } = await store.tenants.history("acme");
    const at = (index: number) => items[index]?.at ?? 0;
    expect(await store.tenants.where("acme", at(0) - 1)).toEqual({});
    expect(await store.tenants.where("acme", at(5))).toMatchObject({ stamp: "shared-1", epoch: 1, since: at(2) });
    expect(await store.tenants.where("acme", at(6) + 1_000)).toEqual({});
    await expect(store.tenants.where("nobody", 0)).rejects.toMatchObject({ code: "TENANT_NOT_FOUND" });
  });

  test("tenants.list() pages and filters; due() lists work only", async () => {
    await using store = await open();
    const ctx = await leaderOf(store);
    await applyFleet(store, ctx, [stampFixture("shared-1"), stampFixture("shared-2")]);
    for (const key of ["a", "b", "c"]) await activeTenant(store, ctx, key);
    const draft = await store.tenants.create({ key: "d" }, ctx);
    const first = await store.tenants.list({ limit: 3 });
    expect(first.items.map((tenant) => tenant.value.key)).toEqual(["a", "b", "c"]);
    const rest = await store.tenants.list({ cursor: first.nextCursor ?? "" });
    expect(rest.items.map((tenant) => tenant.value.key)).toEqual(["d"]);
    expect((await store.tenants.list({ phase: "preparing" })).items).toHaveLength(1);
    expect((await store.tenants.list({ stamp: "shared-1" })).items).toHaveLength(2);
    expect(await store.tenants.counts()).toEqual({ active: 3, preparing: 1 });
    expect(await store.tenants.countHomes()).toEqual([
      { pool: "shared", stamp: "shared-1", tenants: 2 },
      { pool: "shared", stamp: "shared-2", tenants: 2 },
    ]);
    await store.tenants.remove("b", {}, ctx);
    const now = Date.now() + 1;
    expect(await store.tenants.due(now)).toEqual(["b", "d"]);
    const later = {
      ...draft.value,
      state: { kind: "preparing", attempt: 1, retryAt: now + 60_000, cause: "hook" },
    } as const;
    await store.tenants.write(later, draft.revision, {}, ctx);
    expect(await store.tenants.due(now)).toEqual(["b"]);
    await publish(store, ctx, (await store.tenants.read("d")) ?? draft);
  });
}

function describeImport(open: () => Promise<Store>): void {
  test("tenants.import() is idempotent, names every conflict, and is all or nothing", async () => {
    await using store = await open();
    const ctx = await leaderOf(store);
    await applyFleet(store, ctx, [stampFixture("shared-1", places(3)), stampFixture("shared-2", places(2))]);
    await store.tenants.create({ key: "old", hostnames: ["old.example.com"] }, ctx);
    const inputs = [{ key: "a", stamp: "shared-2" }, { key: "b", hostnames: ["b.example.com"] }, { key: "old" }];
    const broken = [
      ...inputs,
      { key: "c", hostnames: ["old.example.com"] },
      { key: "d", pool: "none" },
      { key: "e", stamp: "shared-9" },
      { key: "Bad Key" },
      { key: "b", tier: "gold" },
    ];
    const refused = await store.tenants.import(broken, ctx);
    expect(refused.applied).toBe(false);
    expect(refused.conflicts.map((conflict) => conflict.key).sort()).toEqual(["Bad Key", "b", "c", "d", "e", "old"]);
    expect(await store.tenants.read("a")).toBeUndefined();

    const clean = [...inputs.slice(0, 2), { key: "old", hostnames: ["old.example.com"] }];
    expect(await store.tenants.planImport(clean)).toEqual({
      create: ["a", "b"],
      unchanged: ["old"],
      conflicts: [],
      placed: new Map([
        ["shared-1", 1],
        ["shared-2", 1],
      ]),
    });
    expect(await store.tenants.import(clean, ctx)).toMatchObject({ applied: true, create: ["a", "b"] });
    expect(await store.tenants.import(clean, ctx)).toMatchObject({ create: [], unchanged: ["a", "b", "old"] });
    expect((await store.tenants.read("a"))?.value.stamp).toBe("shared-2");
    expect((await store.tenants.read("b"))?.value.hostnames).toEqual(["b.example.com"]);
    expect((await store.audit.list({ subject: "tenants" })).items).toHaveLength(1);
    const over = await store.tenants.import([{ key: "f" }, { key: "g" }, { key: "h" }], ctx);
    expect(over.conflicts).toHaveLength(1);
    expect(await store.tenants.read("f")).toBeUndefined();
  });
}
