import type { DirectoryChange } from "@stampyard/directory";
import {
  directoryNames,
  type ErasureCertificate,
  isSame,
  type Json,
  requireAlias,
  StampyardError,
  standardTier,
  suspendable,
  suspendedHome,
  type Tenant,
  tenantNext,
} from "@stampyard/domain";
import { endWaysBack, requireNoCopy } from "./move-write.ts";
import type { Revisioned, WriteContext } from "./records.ts";
import type { StampWriteOptions } from "./stamp-write.ts";
import { eventOf, tellOf } from "./tenant-create.ts";
import { insertEvents, insertHostnames, lockTenant, updateTenant } from "./tenant-rows.ts";
import { audit, leaveChanges, requireNormal, staleRevision, type StoreBase, type Write, write } from "./write.ts";

export interface TenantWriteOptions extends StampWriteOptions {
  /** Kept in the audit row that says `gone`. */
  readonly certificate?: ErasureCertificate;
}

export function writeTenant(
  base: StoreBase,
  wanted: Tenant,
  revision: number,
  options: TenantWriteOptions,
  ctx: WriteContext,
): Promise<Revisioned<Tenant>> {
  return write(base, ctx, async (w) => {
    requireNormal(w);
    const old = await lockTenant(w, wanted.key);
    if (old.revision !== revision) throw staleRevision(`Tenant ${wanted.key}`, revision, old.revision);
    const changes = options.changes ?? [];
    requireStep(old.value, wanted);
    const { waitingOn: _, ...kept } = old.value;
    const { state, goal, waitingOn } = wanted;
    const tenant: Tenant = { ...kept, state, goal, ...(waitingOn === undefined ? {} : { waitingOn }) };
    requireOwnChanges(tenant, changes);
    if (state.kind === "gone") await requireNoCopy(w, tenant.key);
    const facts = { phase: tenant.state.kind, goal: tenant.goal };
    const before = { phase: old.value.state.kind, goal: old.value.goal };
    if (isSame(before, facts) && changes.length === 0) {
      return isSame(notesOf(old.value), notesOf(tenant)) ? old : updateTenant(w, tenant);
    }
    const action = options.action ?? (before.phase === facts.phase ? "tenant.update" : `tenant.${facts.phase}`);
    const auditId = await audit(w, action, `tenant/${tenant.key}`, {
      before,
      after: facts,
      ...(tenant.stamp === undefined ? {} : { stamp: tenant.stamp }),
      epoch: tenant.epoch,
      ...(changes.length === 0 ? {} : { changes: changes.map((change) => change.kind) }),
      ...(facts.phase === "gone" && options.certificate !== undefined ? { certificate: options.certificate } : {}),
    });
    if (before.phase !== facts.phase) {
      await insertEvents(w, ctx.actor, [eventOf(tenant, facts.phase === "gone" ? "gone" : "phase")]);
    }
    tellOf(w, tenant);
    if (facts.phase !== "gone") {
      const written = await updateTenant(w, tenant);
      await leaveChanges(w, auditId, changes);
      return written;
    }
    await forgetTenant(w, tenant);
    // Repeating a withdrawal is free: the sequencer numbers no change that changes nothing.
    await leaveChanges(w, auditId, [...changes, { kind: "tenant-remove", tenant: tenant.key }]);
    return { ...old, value: tenant, revision: old.revision + 1 };
  });
}

/** Removes the row and keeps the epoch: a later tenant of this key continues above it (I2). */
export async function forgetTenant(w: Write, tenant: Pick<Tenant, "key" | "epoch">): Promise<void> {
  await w.query(
    `INSERT INTO tenant_epochs (key, epoch) VALUES ($1, $2)
     ON CONFLICT (key) DO UPDATE SET epoch = greatest(tenant_epochs.epoch, excluded.epoch)`,
    [tenant.key, tenant.epoch],
  );
  await w.query("DELETE FROM tenants WHERE key = $1", [tenant.key]);
}

export function removeTenant(
  base: StoreBase,
  key: string,
  options: { readonly revision?: number },
  ctx: WriteContext,
): Promise<Revisioned<Tenant>> {
  return write(base, ctx, async (w) => {
    requireNormal(w);
    const old = await lockTenant(w, key);
    requireRevision(old, options.revision);
    if (old.value.goal === "absent") return old;
    const { stamp, epoch } = old.value;
    const waysBack = await endWaysBack(w, key, base.now());
    await audit(w, "tenant.remove", `tenant/${key}`, {
      ...(stamp === undefined ? {} : { stamp }),
      epoch,
      ...(waysBack.length === 0 ? {} : { waysBack }),
    });
    const { suspension: _, ...kept } = old.value;
    const removed: Tenant = { ...kept, goal: "absent" };
    await insertEvents(w, ctx.actor, [eventOf(removed, "delete-requested")]);
    tellOf(w, removed);
    return updateTenant(w, removed);
  });
}

export async function addHostname(
  base: StoreBase,
  key: string,
  hostname: string,
  options: { readonly revision?: number },
  ctx: WriteContext,
): Promise<Revisioned<Tenant>> {
  requireAlias(hostname);
  return changeHostnames(base, key, hostname, options, ctx, "hostname-added", async (w, tenant) => {
    if (tenant.hostnames.includes(hostname)) return undefined;
    if (tenant.goal === "absent") {
      throw new StampyardError("WRONG_PHASE", `Tenant ${key} is being deleted and takes no hostname`);
    }
    await insertHostnames(w, [{ hostname, tenant: key }]);
    return [...tenant.hostnames, hostname].sort();
  });
}

export function removeHostname(
  base: StoreBase,
  key: string,
  hostname: string,
  options: { readonly revision?: number },
  ctx: WriteContext,
): Promise<Revisioned<Tenant>> {
  return changeHostnames(base, key, hostname, options, ctx, "hostname-removed", async (w, tenant) => {
    if (!tenant.hostnames.includes(hostname)) return undefined;
    await w.query("DELETE FROM tenant_hostnames WHERE hostname = $1 AND tenant = $2", [hostname, key]);
    return tenant.hostnames.filter((other) => other !== hostname);
  });
}

function changeHostnames(
  base: StoreBase,
  key: string,
  hostname: string,
  options: { readonly revision?: number },
  ctx: WriteContext,
  event: "hostname-added" | "hostname-removed",
  change: (w: Write, tenant: Tenant) => Promise<readonly string[] | undefined>,
): Promise<Revisioned<Tenant>> {
  return write(base, ctx, async (w) => {
    requireNormal(w);
    const old = await lockTenant(w, key);
    requireRevision(old, options.revision);
    const hostnames = await change(w, old.value);
    if (hostnames === undefined) return old;
    const tenant: Tenant = { ...old.value, hostnames };
    const auditId = await audit(w, `tenant.${event}`, `tenant/${key}`, { hostname });
    await insertEvents(w, ctx.actor, [eventOf(tenant, event, hostname)]);
    const written = await updateTenant(w, tenant);
    // One that is not published yet takes its hostnames along when it is.
    if (isPublished(tenant)) await leaveChanges(w, auditId, [entryOf(tenant)]);
    tellOf(w, tenant);
    return written;
  });
}

/** Whether the directory has an entry of it; one that is being deleted is on its way out. */
function isPublished({ state }: Tenant): boolean {
  return suspendable.includes(state.kind);
}

/**
 * What the directory says of a published tenant. From the first step of a suspension to the last of a resumption its
 * home is one that no stamp can have.
 */
export function entryOf(tenant: Tenant): DirectoryChange {
  const { key, stamp = "", epoch, tier } = tenant;
  const put = {
    kind: "tenant-put",
    tenant: key,
    stamp,
    epoch,
    ...directoryNames(tenant.hostnames),
    ...(tier === standardTier ? {} : { tier }),
  } as const;
  const isServed = tenant.state.kind === "active" || tenant.state.kind === "moving";
  return isServed ? put : { ...put, stamp: suspendedHome, home: stamp };
}

function requireRevision(old: Revisioned<Tenant>, revision: number | undefined): void {
  if (revision !== undefined && revision !== old.revision) {
    throw staleRevision(`Tenant ${old.value.key}`, revision, old.revision);
  }
}

function requireStep(old: Tenant, next: Tenant): void {
  const from = old.state.kind;
  const to = next.state.kind;
  const allowed: readonly string[] = tenantNext[from];
  if (from !== to && !allowed.includes(to)) {
    throw new StampyardError("WRONG_PHASE", `Tenant ${old.key} is ${from} and cannot become ${to}`);
  }
  if (old.stamp !== next.stamp || old.epoch !== next.epoch) {
    throw new StampyardError("INVALID_REQUEST", `The home of tenant ${old.key} changes by placing and vacating only`);
  }
}

/** A tenant is published only as it is, and only while its stamp knows it (I45). */
function requireOwnChanges(tenant: Tenant, changes: readonly DirectoryChange[]): void {
  for (const change of changes) {
    if (change.kind === "tenant-remove" && change.tenant === tenant.key) continue;
    const own =
      change.kind === "tenant-put" &&
      isPublished(tenant) &&
      tenant.stamp !== undefined &&
      isSame(change as unknown as Json, entryOf(tenant) as unknown as Json);
    if (!own) {
      throw new StampyardError(
        "INVALID_REQUEST",
        `A ${change.kind} does not belong to the write of tenant ${tenant.key}`,
      );
    }
  }
}

function notesOf(tenant: Tenant): Json {
  return { state: tenant.state, waitingOn: tenant.waitingOn } as unknown as Json;
}
