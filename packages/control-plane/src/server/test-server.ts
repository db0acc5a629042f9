import { createHash, randomBytes } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";
import { type Client, createClient, type Role, roles } from "@stampyard/api";
import type { Clock, Stamp, StampEngine } from "@stampyard/domain";
import { readStampSpec } from "../reconcilers/stamp-spec.ts";
import { openStore } from "../store/open.ts";
import type { Store } from "../store/port.ts";
import { makeMasterKey } from "../store/seal.ts";
import { createApp } from "./app.ts";
import type { FeedTimes, ServerDeps } from "./deps.ts";
import { createEventBus, publishStoreEvents } from "./events.ts";
import { listen } from "./listen.ts";

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest();
const clock: Clock = {
  now: () => Date.now(),
  sleep: async (ms, signal) => void (await wait(ms, undefined, signal === undefined ? {} : { signal })),
};

/** The server over a real store and an engine of the test's, with a token and a client for each role. */
export async function startTestServer(
  databaseUrl: string,
  engine: StampEngine,
  feed: FeedTimes = {},
  more: Pick<ServerDeps, "checkMove" | "contents"> = {},
) {
  const store = await openStore({ url: databaseUrl, keys: [makeMasterKey(randomBytes(32))], clock });
  const lease = await store.lease.acquire("test", 60_000);
  const ctx = { actor: "test", token: lease?.token ?? -1 };
  const world = { leads: true };
  const logged: object[] = [];
  const write = (fields: object) => logged.push(fields);
  const events = createEventBus(clock);
  const endEvents = publishStoreEvents(store, events);
  const app = createApp({
    store,
    engine,
    specOf: (stamp: Stamp) => readStampSpec(store, stamp, sha256),
    clock,
    random: { bytes: (count) => new Uint8Array(randomBytes(count)) },
    sha256,
    events,
    leadership: () => (world.leads ? ctx.token : undefined),
    version: "0.0.0-test",
    log: { debug: write, info: write, warn: write, error: write },
    feed,
    ...more,
  });
  const listening = await listen(app, { host: "127.0.0.1", port: 0 });
  const tokens = {} as Record<Role, string>;
  const clients = {} as Record<Role, Client>;
  for (const role of roles) {
    const { secret } = await store.tokens.create({ name: `test-${role}`, role }, ctx);
    tokens[role] = secret;
    clients[role] = createClient({ url: listening.url, token: secret });
  }
  const sequencer = sequenceAlways(store, ctx);
  return {
    store,
    engine,
    ctx,
    world,
    logged,
    events,
    url: listening.url,
    tokens,
    clients,
    specOf: (stamp: Stamp) => readStampSpec(store, stamp, sha256),
    async close() {
      await listening.close();
      endEvents();
      await sequencer.end();
      await store.close();
    },
  };
}

export type TestServer = Awaited<ReturnType<typeof startTestServer>>;

/** What a leader does beside reconciling: numbers whatever is committed. */
function sequenceAlways(store: Store, ctx: { actor: string; token: number }) {
  let ended = false;
  let running = Promise.resolve();
  const turn = async () => {
    while (!ended && (await store.directory.sequence(ctx)).more);
  };
  const unwatch = store.watch((event) => {
    if (event.kind === "pending") running = running.then(turn).catch(() => {});
  });
  running = running.then(turn);
  return {
    async end() {
      ended = true;
      unwatch();
      await running;
    },
  };
}

/** What the reconciler does with a new stamp, in short. */
export async function activateStamp({ store, engine, specOf, ctx }: TestServer, name: string): Promise<void> {
  const signal = new AbortController().signal;
  const row = await store.stamps.read(name);
  if (row === undefined) throw new RangeError(`No stamp ${name}`);
  const provisioning = { ...row.value, state: { kind: "provisioning", attempt: 1 } } as const;
  const provisioned = await store.stamps.write(provisioning, row.revision, {}, ctx);
  const verifying = { ...row.value, state: { kind: "verifying", attempt: 1 } } as const;
  const { revision } = await store.stamps.write(verifying, provisioned.revision, {}, ctx);
  const seen = await engine.apply(await specOf(row.value), { token: ctx.token, signal });
  await store.stamps.observe(seen, ctx);
  const { endpoints, endpointRevision } = seen;
  const active: Stamp = { ...row.value, state: { kind: "active" }, endpoints, endpointRevision };
  const { pool, region } = row.value;
  const put = { kind: "stamp-put", stamp: name, pool, region, endpoints, endpointRevision } as const;
  await store.stamps.write(active, revision, { changes: [put] }, ctx);
}

/** What the reconciler does with a prepared tenant, in short. */
export async function activateTenant({ store, ctx }: TestServer, key: string): Promise<void> {
  const row = await store.tenants.read(key);
  if (row === undefined) throw new RangeError(`No tenant ${key}`);
  const { stamp = "", epoch, hostnames } = row.value;
  const put = { kind: "tenant-put", tenant: key, stamp, epoch, hostnames } as const;
  await store.tenants.write({ ...row.value, state: { kind: "active" } }, row.revision, { changes: [put] }, ctx);
}
