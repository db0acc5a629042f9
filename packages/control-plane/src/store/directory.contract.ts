import { chainStart, nextChain } from "@stampyard/directory";
import type { Routing } from "@stampyard/domain";
import { expect, test } from "vitest";
import type { DirectoryVersionRow, Store, WriteContext } from "./port.ts";
import { sha256 } from "./sequence.ts";
import {
  activeTenant,
  applyFleet,
  deleteTenant,
  fleetFixture,
  leaderOf,
  poolFixture,
  readSnapshot,
  sequenceAll,
  stampFixture,
} from "./test-store.ts";

/** Has the directory say where a stamp answers, as the reconciler does. */
async function publishStamp(store: Store, ctx: WriteContext, name: string): Promise<void> {
  const found = await store.stamps.read(name);
  if (found === undefined) throw new RangeError(name);
  const { pool, region, endpoints, endpointRevision } = found.value;
  const changes = [{ kind: "stamp-put", stamp: name, pool, region, endpoints, endpointRevision }] as const;
  await store.stamps.write(found.value, found.revision, { changes }, ctx);
}

async function allChanges(store: Store): Promise<DirectoryVersionRow[]> {
  const all: DirectoryVersionRow[] = [];
  const first = await store.directory.changesAfter({ incarnation: 0, version: 0, chain: chainStart });
  if (first.kind === "changes") return all;
  const { head } = first;
  const chain = nextChain(chainStart, (await firstChange(store)).change, sha256);
  all.push(await firstChange(store));
  let position = { incarnation: head.incarnation, version: 1, chain };
  for (;;) {
    const answer = await store.directory.changesAfter(position, 7);
    if (answer.kind !== "changes") throw new RangeError(answer.kind);
    const last = answer.changes.at(-1);
    if (last === undefined) return all;
    all.push(...answer.changes);
    position = { incarnation: last.incarnation, version: last.version, chain: last.chain };
  }
}

/** Version 1 of these tests is always the routing that the fleet brings. */
async function firstChange(store: Store): Promise<DirectoryVersionRow> {
  const fleet = await store.fleet.read();
  if (fleet === undefined) throw new RangeError("No fleet");
  const change = { kind: "routing-put", routing: fleet.value.fleet.routing } as const;
  return { incarnation: 1, version: 1, chain: nextChain(chainStart, change, sha256), change, at: 0 };
}

export function describeDirectory(open: () => Promise<Store>): void {
  describeSequence(open);
  describeGuard(open);
  describeRouting(open);
  describePositions(open);
}

function describeSequence(open: () => Promise<Store>): void {
  test("sequence() numbers without gaps and chains; snapshot() is what the changes add up to (D9)", async () => {
    await using store = await open();
    const ctx = await leaderOf(store);
    await applyFleet(store, ctx, [stampFixture("shared-1"), stampFixture("shared-2")]);
    for (const name of ["shared-1", "shared-2"]) await publishStamp(store, ctx, name);
    for (const key of ["a", "b", "c", "d"]) await activeTenant(store, ctx, key);
    await sequenceAll(store, ctx);
    await deleteTenant(store, ctx, "b");
    await store.tenants.addHostname("c", "c.example.com", {}, ctx);
    await sequenceAll(store, ctx);

    const changes = await allChanges(store);
    let chain = chainStart;
    const entries = new Map<string, unknown>();
    for (const [index, row] of changes.entries()) {
      chain = nextChain(chain, row.change, sha256);
      expect(row).toMatchObject({ version: index + 1, chain });
      const { change } = row;
      if (change.kind === "tenant-remove") entries.delete(`tenant ${change.tenant}`);
      else if (change.kind === "tenant-put") entries.set(`tenant ${change.tenant}`, change);
      else if (change.kind === "stamp-put") entries.set(`stamp ${change.stamp}`, change);
      else entries.set(change.kind, change);
    }
    const snapshot = await readSnapshot(store);
    expect(snapshot.position).toEqual({ incarnation: 1, version: changes.length, chain });
    expect(snapshot.entries).toBe(entries.size);
    const text = (values: unknown[]) =>
      values.map((value) => JSON.stringify(value, Object.keys(value as object).sort())).sort();
    expect(text(snapshot.changes)).toEqual(text([...entries.values()]));
    // A tenant never comes before its stamp.
    expect(snapshot.changes.map((change) => change.kind)).toEqual([
      ...["stamp-put", "stamp-put", "routing-put"],
      ...["tenant-put", "tenant-put", "tenant-put"],
    ]);
  });

  test("sequence() numbers nothing that changes nothing (I27)", async () => {
    await using store = await open();
    const ctx = await leaderOf(store);
    await applyFleet(store, ctx, [stampFixture("shared-1")]);
    await publishStamp(store, ctx, "shared-1");
    await sequenceAll(store, ctx);
    const before = await store.directory.head();
    await publishStamp(store, ctx, "shared-1");
    expect(await store.directory.sequence(ctx)).toMatchObject({ versions: 0, skipped: 1 });
    expect(await store.directory.head()).toEqual(before);
  });

  test("tenantVersion() says when routers can know a tenant", async () => {
    await using store = await open();
    const ctx = await leaderOf(store);
    await applyFleet(store, ctx, [stampFixture("shared-1")]);
    expect(await store.directory.tenantVersion("acme")).toBeUndefined();
    await activeTenant(store, ctx, "acme");
    expect(await store.directory.tenantVersion("acme")).toEqual({ version: 0, pending: true });
    await sequenceAll(store, ctx);
    const known = await store.directory.tenantVersion("acme");
    expect(known).toEqual({ version: 2, pending: false });
    expect(await store.routers.allLiveAcked(2)).toBe(true);
    await store.routers.seen({ name: "r1", address: "127.0.0.1" });
    expect(await store.routers.allLiveAcked(2)).toBe(false);
    const { incarnation, version, chain } = await store.directory.head();
    await store.routers.acknowledge({ router: "r1", incarnation, version, chain });
    await store.routers.acknowledge({ router: "r1", incarnation, version: 1, chain: chainStart });
    expect(await store.routers.allLiveAcked(2)).toBe(true);
    expect(await store.routers.list()).toMatchObject([{ name: "r1", version: 2, live: true, address: "127.0.0.1" }]);
  });
}

function describeGuard(open: () => Promise<Store>): void {
  test("a transaction that withdraws a stamp with tenants is held until confirmed, and what follows waits (D8)", async () => {
    await using store = await open();
    const ctx = await leaderOf(store);
    await applyFleet(store, ctx, [stampFixture("shared-1"), stampFixture("shared-2")]);
    await publishStamp(store, ctx, "shared-1");
    for (const key of ["a", "b"]) await activeTenant(store, ctx, key);
    await sequenceAll(store, ctx);
    const before = await store.directory.head();

    const stamp = await store.stamps.read("shared-1");
    if (stamp === undefined) throw new RangeError("shared-1");
    const removal = [{ kind: "stamp-remove", stamp: "shared-1" }] as const;
    await store.stamps.write(stamp.value, stamp.revision, { changes: removal }, ctx);
    await publishStamp(store, ctx, "shared-1");
    await activeTenant(store, ctx, "c");
    expect(await store.directory.sequence(ctx)).toMatchObject({ held: 1, versions: 1 });
    expect(await store.directory.sequence(ctx)).toMatchObject({ held: 0, versions: 0 });
    const [held] = await store.directory.held();
    expect(held).toMatchObject({ changes: 1, behind: 1, actor: "tester" });
    expect(held?.why).toContain("shared-1");
    expect((await store.directory.head()).pending).toBe(0);

    const admin = { ...ctx, actor: "token:tok_admin" };
    await expect(store.directory.confirm(0, admin)).rejects.toMatchObject({ code: "NOT_FOUND" });
    await store.directory.confirm(held?.id ?? 0, admin);
    await sequenceAll(store, ctx);
    const answer = await store.directory.changesAfter(before);
    const kinds = answer.kind === "changes" ? answer.changes.map((row) => [row.change.kind, row.confirmedBy]) : [];
    expect(kinds).toEqual([
      ["tenant-put", undefined],
      ["stamp-remove", "token:tok_admin"],
      ["stamp-put", undefined],
    ]);
    expect(await store.directory.held()).toEqual([]);
    expect((await store.directory.head()).confirmedVersion).toBe(before.version + 2);
    expect((await readSnapshot(store)).confirmedVersion).toBe(before.version + 2);
  });

  test("a stamp that an operator removes, and one tenant at a time, are not held", async () => {
    await using store = await open();
    const ctx = await leaderOf(store);
    await applyFleet(store, ctx, [stampFixture("shared-1")]);
    await publishStamp(store, ctx, "shared-1");
    for (const key of ["a", "b"]) await activeTenant(store, ctx, key);
    await sequenceAll(store, ctx);
    await deleteTenant(store, ctx, "a");
    const removed = await store.stamps.remove("shared-1", { force: true }, ctx);
    const removal = [{ kind: "stamp-remove", stamp: "shared-1" }] as const;
    await store.stamps.write(removed.value, removed.revision, { changes: removal }, ctx);
    await deleteTenant(store, ctx, "b");
    await sequenceAll(store, ctx);
    expect(await store.directory.held()).toEqual([]);
    expect((await readSnapshot(store)).changes.map((change) => change.kind)).toEqual(["routing-put"]);
  });
}

function describeRouting(open: () => Promise<Store>): void {
  test("fleet.apply() publishes every part of the routing and a pool's fallback, and only when one changed (D18)", async () => {
    await using store = await open();
    const ctx = await leaderOf(store);
    const catchAll = { stamp: "shared-1", until: "2027-03-31" };
    const pools = [{ ...poolFixture("shared"), catchAll }];
    const routing: Routing = {
      domains: [],
      rules: [
        { kind: "host", host: "www.a.io" },
        { kind: "alias", alias: "api-key", header: "x-key", until: "." },
      ],
      geography: {
        country: { header: "x-country", trustedPeers: ["::1"] },
        pool: "shared",
        regions: { local: ["DE"] },
      },
      limits: { requestsPerSecond: 5, pools: { shared: { concurrency: 2 } } },
    };
    const fleet = { ...fleetFixture(pools), routing };
    await applyFleet(store, ctx, [], { fleet });
    await sequenceAll(store, ctx);
    expect((await readSnapshot(store)).changes).toEqual([{ kind: "routing-put", routing: { ...routing, catchAll } }]);
    const { version } = await store.directory.head();
    const revision = async () => (await store.fleet.read())?.revision ?? 0;
    await applyFleet(store, ctx, [], { fleet, expectedRevision: await revision() });
    await sequenceAll(store, ctx);
    expect((await store.directory.head()).version).toBe(version);
    const without = { ...fleet, pools: [poolFixture("shared")] };
    await applyFleet(store, ctx, [], { fleet: without, expectedRevision: await revision() });
    await sequenceAll(store, ctx);
    expect((await readSnapshot(store)).changes).toEqual([{ kind: "routing-put", routing }]);
  });
}

function describePositions(open: () => Promise<Store>): void {
  test("changesAfter() tells a router of another history from one that is behind (D9)", async () => {
    await using store = await open();
    const ctx = await leaderOf(store);
    const start = { incarnation: 0, version: 0, chain: chainStart };
    expect(await store.directory.changesAfter(start)).toMatchObject({ kind: "changes", changes: [] });
    await applyFleet(store, ctx, [stampFixture("shared-1")]);
    for (const key of ["a", "b", "c"]) await activeTenant(store, ctx, key);
    await sequenceAll(store, ctx);
    const { incarnation, version, chain } = await store.directory.head();
    const head = { incarnation, version, chain };
    const kind = async (position: typeof head) => (await store.directory.changesAfter(position)).kind;
    expect(await kind(start)).toBe("snapshot");
    expect(await store.directory.changesAfter(head)).toEqual({ kind: "changes", changes: [], head });
    expect(await kind({ ...head, chain: "f".repeat(64) })).toBe("diverged");
    expect(await kind({ ...head, version: version + 1 })).toBe("diverged");
    expect(await kind({ ...head, incarnation: incarnation + 1 })).toBe("diverged");
    expect(await kind({ ...head, version: version - 1 })).toBe("diverged");
    expect(await kind({ ...head, version: 0 })).toBe("diverged");

    expect(await store.directory.prune({ keepVersions: 1, keepMs: 0 }, ctx)).toBe(version - 1);
    expect(await kind({ ...head, version: 1 })).toBe("snapshot");
    expect(await kind(head)).toBe("changes");
    expect((await readSnapshot(store)).entries).toBe(4);
  });

  test("recovering: no change gets a number, and no tenant a place (D9)", async () => {
    await using store = await open();
    const ctx = await leaderOf(store);
    await applyFleet(store, ctx, [stampFixture("shared-1")]);
    await activeTenant(store, ctx, "acme");
    const meta = await store.recovery.enter("a fork", ctx);
    expect(meta).toMatchObject({ mode: "recovering", modeReason: "a fork", incarnation: 2 });
    expect((await store.recovery.enter("again", ctx)).incarnation).toBe(2);
    expect(await store.directory.sequence(ctx)).toMatchObject({ versions: 0 });
    const refused = { code: "RECOVERING" };
    await expect(store.tenants.create({ key: "beta" }, ctx)).rejects.toMatchObject(refused);
    await expect(store.tenants.import([{ key: "beta" }], ctx)).rejects.toMatchObject(refused);
    await expect(publishStamp(store, ctx, "shared-1")).rejects.toMatchObject(refused);
    expect((await store.directory.head()).mode).toBe("recovering");
  });
}
