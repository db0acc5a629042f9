import { nextChain } from "@stampyard/directory";
import { createSeededRandom } from "@stampyard/testing";
import { Client } from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openStore } from "./open.ts";
import type { Store, WriteContext } from "./port.ts";
import { sha256 } from "./sequence.ts";
import { run, startTestPostgres, type TestPostgres } from "./test-postgres.ts";
import {
  activeTenant,
  applyFleet,
  fleetFixture,
  leaderOf,
  poolFixture,
  putOf,
  readSnapshot,
  releaseFixture,
  sequenceAll,
  stampFixture,
  testKeys,
} from "./test-store.ts";

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres[Symbol.asyncDispose]());

interface Opened extends AsyncDisposable {
  readonly url: string;
  readonly store: Store;
  readonly ctx: WriteContext;
}

async function openLed(): Promise<Opened> {
  const url = await postgres.database();
  const store = await openStore({ url, keys: testKeys });
  return { url, store, ctx: await leaderOf(store), [Symbol.asyncDispose]: () => store.close() };
}

const places = (tenants: number) => ({ capacity: { tenants, units: {} } });

/** A connection that stops in the middle of what the store would do in one transaction. */
async function connect(url: string): Promise<Client> {
  const client = new Client(url);
  client.on("error", () => {});
  await client.connect();
  await client.query("SET search_path = stampyard_control");
  return client;
}

test("200 concurrent creations against 20 places place exactly 20 (I32)", async () => {
  await using opened = await openLed();
  const { store, ctx, url } = opened;
  await applyFleet(
    store,
    ctx,
    ["shared-1", "shared-2", "shared-3", "shared-4"].map((name) => stampFixture(name, places(5))),
  );
  await using other = await openStore({ url, keys: testKeys });
  const tries = Array.from({ length: 200 }, (_, n) =>
    (n % 2 === 0 ? store : other).tenants.create({ key: `t${n}` }, ctx),
  );
  const results = await Promise.allSettled(tries);
  const refused = results.flatMap((result) => (result.status === "rejected" ? [result.reason.code] : []));
  expect(new Set(refused)).toEqual(new Set(["POOL_FULL"]));
  expect(results.length - refused.length).toBe(20);
  expect([...(await store.stamps.used()).values()].map((used) => used.tenants)).toEqual([5, 5, 5, 5]);
}, 30_000);

test("concurrent imports, creations, removals and shrinking never overfill a stamp (I32)", async () => {
  await using opened = await openLed();
  const { store, ctx } = opened;
  const random = createSeededRandom(Number(process.env["SEED"] ?? 20_261));
  const fleet = fleetFixture([poolFixture("shared"), poolFixture("solo")]);
  const stamps = ["shared-1", "shared-2", "solo-1"].map((name) =>
    stampFixture(name, { pool: name.split("-")[0] ?? "", capacity: { tenants: 12, units: { gib: 20 } } }),
  );
  await applyFleet(store, ctx, stamps, { fleet });
  const work = Array.from({ length: 60 }, async (_, n) => {
    const pool = random.pick(["shared", "solo"]);
    const weight = { tenants: random.int(1, 2), gib: random.int(0, 3) };
    if (random.chance(0.3)) {
      return store.tenants.import(
        [
          { key: `i${n}a`, pool, weight },
          { key: `i${n}b`, stamp: "shared-1", weight },
        ],
        ctx,
      );
    }
    if (random.chance(0.1)) return store.stamps.remove("shared-2", { force: false }, ctx);
    return store.tenants.create({ key: `c${n}`, pool, weight }, ctx);
  });
  const codes = (await Promise.allSettled(work)).flatMap((r) => (r.status === "rejected" ? [r.reason.code] : []));
  const allowed = ["POOL_FULL", "STAMP_NOT_EMPTY"];
  expect(
    codes.filter((code) => !allowed.includes(code)),
    `seed ${random.seed}`,
  ).toEqual([]);
  for (const [name, used] of await store.stamps.used()) {
    expect(used.tenants, `${name}, seed ${random.seed}`).toBeLessThanOrEqual(12);
    expect(used.units["gib"] ?? 0, `${name}, seed ${random.seed}`).toBeLessThanOrEqual(20);
    const stamp = await store.stamps.read(name);
    expect(stamp?.value.goal, `${name} has tenants, seed ${random.seed}`).toBe("present");
  }
}, 30_000);

test("one revision is written once, however many write it at the same time (I30)", async () => {
  await using opened = await openLed();
  const { store, ctx } = opened;
  await applyFleet(store, ctx, [stampFixture("shared-1")]);
  const draft = await store.tenants.create({ key: "acme" }, ctx);
  const active = { ...draft.value, state: { kind: "active" } } as const;
  const write = () => store.tenants.write(active, draft.revision, { changes: [putOf(active)] }, ctx);
  const results = await Promise.allSettled(Array.from({ length: 12 }, write));
  const codes = results.map((result) => (result.status === "fulfilled" ? "written" : result.reason.code)).sort();
  expect(codes).toEqual([...Array.from({ length: 11 }, () => "STALE_REVISION"), "written"]);
  const applies = Array.from({ length: 6 }, (_, n) =>
    applyFleet(store, ctx, [], { release: releaseFixture(`2.${n}`), expectedRevision: 1 }),
  );
  const applied = (await Promise.allSettled(applies)).filter((result) => result.status === "fulfilled");
  expect(applied).toHaveLength(1);
});

test("hostnames claimed at the same time have one holder", async () => {
  await using opened = await openLed();
  const { store, ctx } = opened;
  await applyFleet(store, ctx, [stampFixture("shared-1", places(50))]);
  const hostnames = ["b.example.com", "a.example.com"];
  const tries = Array.from({ length: 20 }, (_, n) =>
    store.tenants.create({ key: `t${n}`, hostnames: n % 2 === 0 ? hostnames : [...hostnames].reverse() }, ctx),
  );
  const results = await Promise.allSettled(tries);
  expect(results.filter((result) => result.status === "fulfilled")).toHaveLength(1);
  expect(await store.tenants.counts()).toEqual({ preparing: 1 });
});

test("sequence() misses no change that commits late under a lower id, and none left by a crash (D10)", async () => {
  await using opened = await openLed();
  const { store, ctx, url } = opened;
  await applyFleet(store, ctx, [stampFixture("shared-1")]);
  await sequenceAll(store, ctx);
  const before = await store.directory.head();

  // Takes its ids first, and commits only after later ids have been numbered.
  const late = await connect(url);
  await late.query("BEGIN");
  const row = await late.query(
    `INSERT INTO audit (actor, action, subject, detail) VALUES ('late', 'tenant.active', 'tenant/late', '{}') RETURNING id`,
  );
  const change = { kind: "tenant-put", tenant: "late", stamp: "shared-1", epoch: 1, hostnames: [] };
  await late.query("INSERT INTO directory_pending (entry, change, audit_id) VALUES ('tenant/late', $1, $2)", [
    JSON.stringify(change),
    row.rows[0].id,
  ]);
  await activeTenant(store, ctx, "early");
  await sequenceAll(store, ctx);
  expect((await store.directory.head()).version).toBe(before.version + 1);
  await late.query("COMMIT");
  await late.end();
  // The process that committed is gone, and another one leads: nothing but the rows remains.
  await using successor = await openStore({ url, keys: testKeys });
  await store.lease.release("test", ctx.token);
  const next = await leaderOf(successor, "next");
  await sequenceAll(successor, next);

  const answer = await successor.directory.changesAfter(before);
  const rows = answer.kind === "changes" ? answer.changes : [];
  expect(rows.map(({ change: c }) => (c.kind === "tenant-put" ? c.tenant : c.kind))).toEqual(["early", "late"]);
  let chain = before.chain;
  for (const version of rows) {
    chain = nextChain(chain, version.change, sha256);
    expect(version.chain).toBe(chain);
  }
  const { items } = await successor.audit.list();
  expect(items.map((item) => item.number)).toEqual(items.map((_, index) => index + 1));
  expect(items.findIndex((item) => item.actor === "late")).toBeGreaterThan(0);
  expect(await successor.audit.verify()).toMatchObject({ ok: true });
});

test("sequence() killed before its commit numbers nothing twice (I27)", async () => {
  await using opened = await openLed();
  const { store, ctx, url } = opened;
  await applyFleet(store, ctx, [stampFixture("shared-1", places(100))]);
  for (const key of ["a", "b", "c"]) await activeTenant(store, ctx, key);
  // Holds the head, so that a sequence() stands in the middle; then its connection is killed.
  const blocker = await connect(url);
  await blocker.query("BEGIN");
  await blocker.query("SELECT 1 FROM directory_head FOR UPDATE");
  const dying = store.directory.sequence(ctx);
  dying.catch(() => {});
  const killed = `SELECT count(pg_terminate_backend(pid))::int AS n FROM pg_stat_activity
    WHERE datname = current_database() AND query LIKE '%directory_head FOR UPDATE' AND pid <> pg_backend_pid()`;
  await expect
    .poll(async () => (await run(url, `${killed} AND wait_event_type = 'Lock'`))[0]?.["n"], {
      timeout: 5_000,
      interval: 20,
    })
    .toBe(1);
  await expect(dying).rejects.toMatchObject({ code: "INTERNAL" });
  await blocker.query("ROLLBACK");
  await blocker.end();
  const results = await Promise.all([store.directory.sequence(ctx), store.directory.sequence(ctx)]);
  expect(results[0].versions + results[1].versions).toBe(4);
  expect((await store.directory.head()).version).toBe(4);
  expect((await readSnapshot(store)).entries).toBe(4);
});

test("two sequencers and many writers make one gapless chain (D9, I39)", async () => {
  await using opened = await openLed();
  const { store, ctx, url } = opened;
  await applyFleet(store, ctx, [stampFixture("shared-1", places(500))]);
  await using other = await openStore({ url, keys: testKeys });
  let writing = true;
  const sequencers = [store, other].map(async (each) => {
    while (writing) await each.directory.sequence(ctx);
  });
  const keys = Array.from({ length: 60 }, (_, n) => `t${n}`);
  await Promise.all(keys.map((key) => activeTenant(store, ctx, key)));
  await Promise.all(keys.map((key) => store.tenants.addHostname(key, `${key}.example.com`, {}, ctx)));
  writing = false;
  await Promise.all(sequencers);
  await sequenceAll(store, ctx);
  const rows = await run(
    url,
    "SELECT version, chain, change FROM stampyard_control.directory_versions ORDER BY version",
  );
  expect(rows).toHaveLength(121);
  let chain = "0".repeat(64);
  for (const [index, row] of rows.entries()) {
    chain = nextChain(chain, row["change"] as Parameters<typeof nextChain>[1], sha256);
    expect([Number(row["version"]), row["chain"]]).toEqual([index + 1, chain]);
  }
  const { changes } = await readSnapshot(store);
  const homes = changes.filter((change) => change.kind === "tenant-put");
  expect(homes.every((change) => change.hostnames.length === 1)).toBe(true);
  expect(await store.audit.verify()).toMatchObject({ ok: true, rows: 2 + 3 * 60 });
}, 30_000);

test("a new token waits for the writers of the old one, a renewal does not (D10, I28)", async () => {
  await using opened = await openLed();
  const { store, ctx, url } = opened;
  await applyFleet(store, ctx, [stampFixture("shared-1")]);
  // A write of the store that has passed the lease's check stands still, because somebody holds the row it needs.
  const blocker = await connect(url);
  await blocker.query("BEGIN");
  await blocker.query("SELECT 1 FROM stamps WHERE name = 'shared-1' FOR UPDATE");
  const writing = store.stamps.remove("shared-1", { force: false }, ctx);
  const waiting = (query: string) =>
    expect
      .poll(
        async () => {
          const sql =
            "SELECT count(*)::int AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE $1";
          return (await run(url, sql, [query]))[0]?.["n"];
        },
        { timeout: 5_000, interval: 20 },
      )
      .toBe(1);
  await waiting("%FROM stamps WHERE name = $1 FOR UPDATE");
  expect(await store.lease.renew("test", ctx.token, 1)).toMatchObject({ token: ctx.token });
  await expect.poll(() => store.lease.current(), { timeout: 5_000, interval: 5 }).toBeUndefined();
  let taken = false;
  const takeover = store.lease.acquire("next", 60_000).then((lease) => {
    taken = true;
    return lease;
  });
  await waiting("UPDATE lease%");
  expect(taken).toBe(false);
  await blocker.query("COMMIT");
  await blocker.end();
  expect((await writing).value.goal).toBe("absent");
  expect(await takeover).toMatchObject({ holder: "next", token: ctx.token + 1 });
  await expect(activeTenant(store, ctx, "late")).rejects.toMatchObject({ code: "STALE_LEADER" });
});

test("leases fought over never have two holders, and no stale token writes (I28)", async () => {
  await using opened = await openLed();
  const { store, ctx: first, url } = opened;
  await applyFleet(store, first, [stampFixture("shared-1", places(1_000))]);
  await store.lease.release("test", first.token);
  const random = createSeededRandom(Number(process.env["SEED"] ?? 28));
  const wrote: { token: number; key: string }[] = [];
  await Promise.all(
    ["a", "b", "c"].map(async (holder) => {
      for (let turn = 0; turn < 15; turn++) {
        const lease = await store.lease.acquire(holder, random.int(1, 30));
        if (lease === undefined) continue;
        const key = `${holder}${turn}`;
        try {
          await store.tenants.create({ key }, { actor: holder, token: lease.token });
          wrote.push({ token: lease.token, key });
        } catch (error) {
          expect((error as { code: string }).code).toBe("STALE_LEADER");
        }
      }
    }),
  );
  const rows = await run(
    url,
    `SELECT subject, id, actor, detail FROM stampyard_control.audit WHERE action IN ('tenant.create', 'lease.acquire') ORDER BY id`,
  );
  let leader = "";
  for (const row of rows) {
    const detail = row["detail"] as { holder?: string };
    if (detail.holder !== undefined) leader = detail.holder;
    else expect(row["actor"], `audit ${row["id"]}, seed ${random.seed}`).toBe(leader);
  }
  expect(rows.filter((row) => row["subject"] !== "lease")).toHaveLength(wrote.length);
});

test("a bulk change of more than 5% and 50 tenants in one transaction is held (D8)", async () => {
  await using opened = await openLed();
  const { store, ctx, url } = opened;
  await applyFleet(store, ctx, [stampFixture("shared-1", places(500)), stampFixture("shared-2", places(500))]);
  const keys = Array.from({ length: 200 }, (_, n) => ({ key: `t${n}` }));
  await store.tenants.import(keys, ctx);
  for (const { value, revision } of (await store.tenants.list({ limit: 1_000 })).items) {
    const active = { ...value, state: { kind: "active" } } as const;
    await store.tenants.write(active, revision, { changes: [putOf(active)] }, ctx);
  }
  await sequenceAll(store, ctx);
  const before = await store.directory.head();
  expect(before.version).toBe(201);
  const bulk = (auditId: number, count: number) =>
    run(
      url,
      `INSERT INTO stampyard_control.directory_pending (entry, change, audit_id)
       SELECT 'tenant/t' || n, jsonb_build_object('kind', 'tenant-remove', 'tenant', 't' || n), ${auditId}
       FROM generate_series(0, ${count - 1}) AS n`,
    );
  await bulk(1_000_001, 51);
  expect(await store.directory.sequence(ctx)).toMatchObject({ held: 1, versions: 0 });
  expect((await store.directory.held())[0]?.why).toBe("it changes 51 of 200 tenants");
  // A small one on the same entries waits behind it, and a small one elsewhere does not.
  await bulk(1_000_002, 2);
  await store.tenants.addHostname("t199", "x.example.com", {}, ctx);
  expect(await store.directory.sequence(ctx)).toMatchObject({ held: 0, versions: 1 });
  expect((await store.directory.held())[0]?.behind).toBe(1);
  await store.directory.confirm(1_000_001, ctx);
  await sequenceAll(store, ctx);
  expect((await store.directory.head()).version).toBe(before.version + 52);
  expect((await readSnapshot(store)).changes.filter((change) => change.kind === "tenant-put")).toHaveLength(149);
}, 30_000);

test("10,000 tenants are imported in seconds", async () => {
  await using opened = await openLed();
  const { store, ctx } = opened;
  const stamps = Array.from({ length: 20 }, (_, n) => stampFixture(`shared-${n + 1}`, places(500)));
  await applyFleet(store, ctx, stamps);
  const inputs = Array.from({ length: 10_000 }, (_, n) => ({ key: `tenant-${n}`, hostnames: [`t${n}.example.com`] }));
  const started = performance.now();
  expect(await store.tenants.import(inputs, ctx)).toMatchObject({ applied: true, conflicts: [] });
  const importMs = performance.now() - started;
  expect([...(await store.stamps.used()).values()].every((used) => used.tenants === 500)).toBe(true);
  expect((await store.tenants.import(inputs, ctx)).unchanged).toHaveLength(10_000);
  expect(importMs).toBeLessThan(15_000);
}, 60_000);

test("watch() hears another process within the poll, even when its notification is lost (D8)", async () => {
  await using opened = await openLed();
  const { store, ctx, url } = opened;
  await using other = await openStore({ url, keys: testKeys });
  const heard: number[] = [];
  other.watch((event) => {
    if (event.kind === "directory") heard.push(event.head.version);
  });
  const listening = `SELECT count(*)::int AS n FROM pg_stat_activity
    WHERE datname = current_database() AND query = 'LISTEN stampyard_control_keys'`;
  await expect.poll(async () => (await run(url, listening))[0]?.["n"], { timeout: 5_000, interval: 20 }).toBe(1);
  await applyFleet(store, ctx, [stampFixture("shared-1")]);
  await sequenceAll(store, ctx);
  await expect.poll(() => heard.at(-1), { timeout: 5_000, interval: 5 }).toBe(1);
  await run(
    url,
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE '%(listen)'",
  );
  await activeTenant(store, ctx, "acme");
  await sequenceAll(store, ctx);
  await expect.poll(() => heard.at(-1), { timeout: 5_000, interval: 5 }).toBe(2);
});

test("openStore() refuses a newer schema, and two at once migrate one after the other", async () => {
  const url = await postgres.database();
  const stores = await Promise.all([1, 2, 3].map(() => openStore({ url, keys: testKeys })));
  await Promise.all(stores.map((store) => store.close()));
  await run(url, "INSERT INTO stampyard_control.migrations (version) VALUES (99)");
  await expect(openStore({ url, keys: testKeys })).rejects.toMatchObject({ code: "WRONG_PHASE" });
});
