import { createHash, randomBytes } from "node:crypto";
import type { Digest, Fleet, Pool, Stamp, Template, Tenant } from "@stampyard/domain";
import type { ApplyFleetInput, ReleaseInput, Revisioned, Store, StoreEvent, WriteContext } from "./port.ts";
import { type MasterKeys, makeMasterKey } from "./seal.ts";

/** Values for tests of the store; none of them is read by anything but the store. */

export const testKeys: MasterKeys = [makeMasterKey(randomBytes(32))];

export function digest(text: string): Digest {
  return `sha256:${createHash("sha256").update(text).digest("hex")}`;
}

export async function leaderOf(store: Store, holder = "test"): Promise<WriteContext> {
  const lease = await store.lease.acquire(holder, 600_000);
  if (lease === undefined) throw new RangeError("Somebody else leads");
  return { actor: "tester", token: lease.token };
}

export function poolFixture(name: string, tenancy: Pool["tenancy"] = "shared"): Pool {
  // Without growth of its own: a full pool says so at once.
  const automation = { scaleUp: "propose" } as const;
  return { name, tenancy, regions: ["local"], stamps: { min: 1, max: 9 }, automation, parameters: {} };
}

export function fleetFixture(pools: readonly Pool[] = [poolFixture("shared")]): Fleet {
  return { name: "notes", template: "stamp.yaml", pools, routing: { domains: ["localhost"] } };
}

const template: Template = {
  name: "notes",
  version: "1.0.0",
  parameters: {},
  stages: [],
  ingress: { service: "api" },
  capacity: { tenants: 10, units: {} },
  tenancy: { model: "rows", column: "tenant_id" },
  hooks: {},
} as Template;

export function releaseFixture(version = "1.0.0"): ReleaseInput {
  return { digest: digest(version), version, template, source: `version: ${version}`, sourceDir: "/srv/notes" };
}

export function stampFixture(name: string, over: Partial<Stamp> = {}): Stamp {
  return {
    name,
    pool: "shared",
    region: "local",
    state: { kind: "active" },
    goal: "present",
    origin: "built",
    releaseDigest: digest("1.0.0"),
    parameters: {},
    stampDigest: digest(name),
    capacity: { tenants: 10, units: {} },
    endpoints: [{ host: "127.0.0.1", port: 20_000 }],
    endpointRevision: 1,
    ...over,
  };
}

/** A fleet with these stamps, active at once: how they came to be is not the store's business. */
export async function applyFleet(
  store: Store,
  ctx: WriteContext,
  stamps: readonly Stamp[],
  over: Partial<ApplyFleetInput> = {},
): Promise<void> {
  await store.fleet.apply(
    {
      fleet: fleetFixture(),
      release: releaseFixture(),
      stampCreates: stamps.map((stamp) => ({ stamp, secrets: { "db.appPassword": `plain-${stamp.name}` } })),
      stampUpdates: [],
      expectedRevision: 0,
      ...over,
    },
    ctx,
  );
}

export function putOf(tenant: Tenant) {
  const { key, stamp = "", epoch, hostnames } = tenant;
  return { kind: "tenant-put", tenant: key, stamp, epoch, hostnames } as const;
}

export async function publish(
  store: Store,
  ctx: WriteContext,
  tenant: Revisioned<Tenant>,
): Promise<Revisioned<Tenant>> {
  const active: Tenant = { ...tenant.value, state: { kind: "active" } };
  return store.tenants.write(active, tenant.revision, { changes: [putOf(active)] }, ctx);
}

export async function activeTenant(store: Store, ctx: WriteContext, key: string): Promise<Revisioned<Tenant>> {
  return publish(store, ctx, await store.tenants.create({ key }, ctx));
}

/** From wherever it is to nowhere, as the reconciler would. */
export async function deleteTenant(store: Store, ctx: WriteContext, key: string): Promise<void> {
  let tenant = await store.tenants.remove(key, {}, ctx);
  const leaving: Tenant = { ...tenant.value, state: { kind: "deleting", attempt: 0, retryAt: 0 } };
  const changes = [{ kind: "tenant-remove", tenant: key }] as const;
  tenant = await store.tenants.write(leaving, tenant.revision, { changes }, ctx);
  await store.tenants.write({ ...tenant.value, state: { kind: "gone" } }, tenant.revision, {}, ctx);
}

/** Numbers everything that waits. */
export async function sequenceAll(store: Store, ctx: WriteContext): Promise<void> {
  for (;;) {
    const { more } = await store.directory.sequence(ctx);
    if (!more) return;
  }
}

/** All of a snapshot, as the text of its entries in their order. */
export async function readSnapshot(store: Store) {
  await using snapshot = await store.directory.snapshot();
  const changes = [];
  for await (const page of snapshot.pages) changes.push(...page);
  return { ...snapshot, changes };
}

/** The next event that fits, or a failure after 5 s. */
export function nextEvent(store: Store, fits: (event: StoreEvent) => boolean): Promise<StoreEvent> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      unwatch();
      reject(new RangeError("No such event within 5 s"));
    }, 5_000);
    const unwatch = store.watch((event) => {
      if (!fits(event)) return;
      clearTimeout(timer);
      unwatch();
      resolve(event);
    });
  });
}
